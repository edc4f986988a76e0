"""near_duplicate_media: keep the samples of one medium out of those that look nearly the same.

    - near_duplicate_media: {distance: 4}

Images are compared by the 64 bits of their perceptual hash (pHash), clips by those of three of their frames, of which
at most `distance` bits may differ each. The medium whose sample comes first by the seed stays, with all of its samples;
a sample of several media goes when each of them repeats another sample's. Hashes are kept in the corpus folder, in
cache/perceptual.parquet. Media that cannot be read are like no other. Reason: near_duplicate_media.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from filters.candidates import Candidates
from filters.near_duplicates import find_near_hashes, hash_media
from filters.pool import get_pool
from filters.recipe import StepOptions
from filters.score import PRELOAD

PER_TABLE = 256


class Options(StepOptions):
    """`distance` is in bits of 64."""

    distance: int = Field(default=4, ge=0, le=16)


def drops(candidates: Candidates, options: Options) -> pa.Table:
    """The traces of samples whose media all repeat other media."""
    samples = candidates.samples(
        "list_transform(media, m -> m.sha256) as media, list_transform(media, m -> m.kind) as kind"
    )
    media: dict[str, str] = {}
    for names, kinds in zip(samples["media"].to_pylist(), samples["kind"].to_pylist(), strict=True):
        media.update((name, kind) for name, kind in zip(names or (), kinds or (), strict=True) if name not in media)
    known = _hashed(candidates, media)
    repeated = {
        name
        for name, near in zip(media, find_near_hashes((known.get(n) for n in media), options.distance), strict=True)
        if near is not None
    }
    going = [bool(names) and set(names) <= repeated for names in samples["media"].to_pylist()]
    return candidates.traces_of(samples, going, "near_duplicate_media")


def _hashed(candidates: Candidates, media: dict[str, str]) -> dict[str, list[int] | None]:
    """The hashes of media (SHA-256 → kind), from the cache as far as they are there."""
    cache = candidates.corpus.root / "cache" / "perceptual.parquet"
    kept = pq.read_table(cache) if cache.exists() else None
    known = dict(zip(kept["sha256"].to_pylist(), kept["hashes"].to_pylist(), strict=True)) if kept else {}
    new = [name for name in media if name not in known]
    if not new:
        return known
    paths = [str(candidates.corpus.media.path(name)) for name in new]
    files = pa.table({"path": paths, "kind": [media[name] for name in new]})
    tables = (files.slice(start, PER_TABLE) for start in range(0, len(files), PER_TABLE))
    pool = get_pool(candidates.workers, preload=PRELOAD)
    hashed = pa.concat_tables(pool.map(hash_media, tables, lambda reason: {"hashes": None}))
    known |= dict(zip(new, hashed["hashes"].to_pylist(), strict=True))
    _save(known, cache)
    return known


def _save(known: dict[str, list[int] | None], cache: Path) -> None:
    cache.parent.mkdir(exist_ok=True)
    making = cache.with_suffix(".making")
    hashes = pa.array(known.values(), pa.list_(pa.uint64()))
    pq.write_table(pa.table({"sha256": pa.array(known, pa.string()), "hashes": hashes}), making)
    making.replace(cache)
