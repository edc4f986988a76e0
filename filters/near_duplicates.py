"""Near-duplicates: texts by MinHash, images and clips by perceptual hash."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence

import imagehash
import numpy as np
import pyarrow as pa
import rensa
from PIL import Image

from corpus.media.image import open_image
from corpus.media.video import read_frames

SHINGLE_CHARACTERS = 5
PAIRWISE_TEXTS = 64  # in a group of at most this many, comparing all pairs is faster than MinHash
PERMUTATIONS, BANDS = 128, 32  # four rows a band: two texts of Jaccard 0.7 are compared with probability 0.9998
SEED = 1
HASH_BITS = 64
MOMENTS = (0.1, 0.5, 0.9)  # of a clip's length, at which its frames are hashed


def shingles(text: str) -> frozenset[str]:
    """The runs of five characters in a text, case and white space evened out; a shorter text is one of its own."""
    text = _normalise(text)
    last = max(1, len(text) - SHINGLE_CHARACTERS + 1)
    return frozenset([text[i : i + SHINGLE_CHARACTERS] for i in range(last)])  # a list: twice as fast as a generator


def _normalise(text: str) -> str:
    return " ".join(text.casefold().split())


def find_near_texts(texts: Sequence[str], groups: Sequence[Hashable], threshold: float) -> list[int | None]:
    """For each text the index of an earlier near-duplicate in its group, or None; in order.

    Nearly is a Jaccard similarity of their shingles of at least `threshold`. Texts are only compared with those that
    were kept themselves, so a chain of small changes does not carry all of its links away.
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        members[group].append(place)
    found: list[int | None] = [None] * len(texts)
    for places in members.values():
        compare = _each_with_each if len(places) <= PAIRWISE_TEXTS else _by_minhash
        for place, near in compare(texts, places, threshold) if len(places) > 1 else ():
            found[place] = near
    return found


def _each_with_each(texts: Sequence[str], places: list[int], threshold: float) -> Iterator[tuple[int, int]]:
    kept: list[tuple[int, frozenset[str]]] = []
    for place in places:
        mine = shingles(texts[place])
        near = next((other for other, theirs in kept if _alike(mine, theirs, threshold)), None)
        if near is None:
            kept.append((place, mine))
        else:
            yield place, near


def _by_minhash(texts: Sequence[str], places: list[int], threshold: float) -> Iterator[tuple[int, int]]:
    kept: dict[str, int] = {}
    index = rensa.RMinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, num_bands=BANDS)
    for place in places:
        same = kept.setdefault(_normalise(texts[place]), place)
        if same != place:
            yield place, same
            continue
        mine = shingles(texts[place])
        (minhash,) = rensa.RMinHash.from_token_sets([list(mine)], PERMUTATIONS, SEED)
        others = sorted(index.query(minhash))
        near = next((other for other in others if _alike(mine, shingles(texts[other]), threshold)), None)
        if near is None:
            index.insert(place, minhash)
        else:
            yield place, near


def _alike(mine: frozenset[str], theirs: frozenset[str], threshold: float) -> bool:
    if min(len(mine), len(theirs)) < threshold * max(len(mine), len(theirs)):
        return False
    both = len(mine & theirs)
    return both >= threshold * (len(mine) + len(theirs) - both)


def find_near_hashes(hashes: Iterable[Sequence[int] | None], distance: int) -> list[int | None]:
    """For each medium the index of an earlier near-duplicate, or None; in order.

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
        pictures = [open_image(path).convert("RGB")] if kind == "image" else _frames(path)
    except Exception:  # decoders raise anything; ingest has rejected or flagged a broken medium
        return None
    return [int(str(imagehash.phash(picture)), 16) for picture in pictures]


def _frames(path: str) -> list[Image.Image]:
    wanted = read_frames(path, lambda starts, _: [int(moment * (len(starts) - 1)) for moment in MOMENTS])
    return [Image.fromarray(pixels) for pixels in wanted.pixels]
