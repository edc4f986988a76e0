"""Images and videos: kept by the SHA-256 of their bytes, measured, decoded, and handled in worker processes."""

from corpus.errors import MediaError
from corpus.media.store import KINDS, Kind, MediaStore, Medium, inside, probe, sha256_of

__all__ = ["KINDS", "Kind", "MediaError", "MediaStore", "Medium", "inside", "probe", "sha256_of"]
