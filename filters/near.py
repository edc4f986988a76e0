"""What is nearly the same: texts by MinHash, pictures and clips by perceptual hash."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pyarrow as pa
import rensa
from PIL import Image

SHINGLE_CHARACTERS = 5
PERMUTATIONS, BANDS = 128, 32  # four rows a band: two texts of Jaccard 0.7 are compared with probability 0.9998
SEED = 1
HASH_BITS = 64
MOMENTS = (0.1, 0.5, 0.9)  # of a clip's length, at which its frames are hashed


def shingles(text: str) -> frozenset[str]:
    """The runs of five characters in a text, case and white space evened out; a shorter text is one of its own."""
    text = " ".join(text.casefold().split())
    return frozenset(text[i : i + SHINGLE_CHARACTERS] for i in range(max(1, len(text) - SHINGLE_CHARACTERS + 1)))


def near_texts(texts: Sequence[str], groups: Sequence[Hashable], threshold: float) -> list[int | None]:
    """For each text the place of an earlier one of its group that it nearly repeats, or None; in order.

    Nearly is a Jaccard similarity of their shingles of at least `threshold`. Texts are only compared with those that
    were kept themselves, so a chain of small changes does not carry all of its links away.
    """
    kept: dict[tuple[Hashable, str], int] = {}
    index = rensa.RMinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, num_bands=BANDS)
    sizes: dict[Hashable, int] = defaultdict(int)
    for group in groups:
        sizes[group] += 1
    found: list[int | None] = []
    for place, (text, group) in enumerate(zip(texts, groups, strict=True)):
        same = kept.setdefault((group, " ".join(text.casefold().split())), place)
        if same != place:
            found.append(same)
            continue
        if sizes[group] == 1:
            found.append(None)
            continue
        mine = shingles(text)
        # The group is part of each token, so that texts of different groups have nothing in common.
        (minhash,) = rensa.RMinHash.from_token_sets([[f"{group}|{s}" for s in mine]], PERMUTATIONS, SEED)
        near = None
        for other in sorted(index.query(minhash)):
            if groups[other] == group:
                theirs = shingles(texts[other])
                if len(mine & theirs) >= threshold * len(mine | theirs):
                    near = other
                    break
        if near is None:
            index.insert(place, minhash)
        found.append(near)
    return found


def near_hashes(hashes: Iterable[Sequence[int] | None], distance: int) -> list[int | None]:
    """For each medium the place of an earlier one that it nearly repeats, or None; in order.

    A medium is a list of hashes, one for an image and one for each moment of a clip; nearly is at most `distance` bits
    of each. None, a medium that could not be hashed, is like no other. Hashes that differ in at most `distance` of
    their bits agree wholly in at least one of `distance` + 1 parts, so only such pairs are compared.
    """
    parts = np.array_split(np.arange(HASH_BITS), distance + 1)
    masks = [sum(1 << int(bit) for bit in part) for part in parts]
    buckets: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    known: list[Sequence[int] | None] = []
    found: list[int | None] = []
    for place, mine in enumerate(hashes):
        known.append(mine)
        near: int | None = None
        if mine:
            keys = [(len(mine), number, mine[0] & mask) for number, mask in enumerate(masks)]
            for other in sorted({other for key in keys for other in buckets.get(key, ())}):
                theirs = known[other] or ()
                if all((a ^ b).bit_count() <= distance for a, b in zip(mine, theirs, strict=True)):
                    near = other
                    break
            if near is None:
                for key in keys:
                    buckets[key].append(place)
        found.append(near)
    return found


def hash_media(table: pa.Table) -> pa.Table:
    """Perceptual hashes (`hashes`, a list of numbers) of the files of rows (path, kind); null for an unreadable one."""
    rows = zip(table["path"].to_pylist(), table["kind"].to_pylist(), strict=True)
    return pa.table({"hashes": pa.array([_hashes(path, kind) for path, kind in rows], pa.list_(pa.uint64()))})


def _hashes(path: str, kind: str) -> list[int] | None:
    try:
        pictures = [Image.open(path).convert("RGB")] if kind == "image" else _frames(path)
    except Exception:  # decoders raise whatever they like; a broken medium has been told of at ingest
        return None
    return [int(str(imagehash.phash(picture)), 16) for picture in pictures]


def _frames(path: str) -> list[Image.Image]:
    import decord

    reader: Any = decord.VideoReader(str(Path(path)), num_threads=1)
    wanted = [int(moment * (len(reader) - 1)) for moment in MOMENTS]
    return [Image.fromarray(frame) for frame in reader.get_batch(wanted).asnumpy()]
