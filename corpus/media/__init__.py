"""Images and videos: a store keyed by SHA-256, probing, decoding, and a pool of worker processes."""

from corpus.errors import MediaError
from corpus.media.store import KINDS, Kind, MediaStore, Medium, inside, probe, sha256_of

__all__ = ["KINDS", "Kind", "MediaError", "MediaStore", "Medium", "inside", "probe", "sha256_of"]
