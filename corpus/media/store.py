"""Content-addressed media: a file is named by the SHA-256 of its bytes; size, rate and length are measured by decoding.

The tables hold `Medium` rows; the bytes are stored under `media/<first two hex>/<sha256>`, on a disk or in a bucket.
"""

import hashlib
import os
import shutil
import time
import uuid
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import fsspec
from fsspec.implementations.local import LocalFileSystem

from corpus.errors import MediaError
from corpus.media.image import IMAGE_FORMATS, open_image
from corpus.media.video import probe_video

Kind = Literal["image", "video"]
KINDS: tuple[str, ...] = get_args(Kind)
_CHUNK_BYTES = 1 << 20
_MAX_PATH_CHARS = 4096  # what Linux opens; to resolve a longer one takes time with the square of its length


@dataclass(frozen=True, slots=True)
class Medium:
    """One image or video, as in the tables; an image has no fps, duration (seconds) or frames."""

    kind: str
    sha256: str
    width: int
    height: int
    fps: float | None = None
    duration: float | None = None
    frames: int | None = None

    def row(self) -> dict[str, object]:
        """The value of the `media` column."""
        return {name: getattr(self, name) for name in self.__slots__}


def inside(root: Path, path: str) -> Path:
    """The file at a path relative to `root` (which must be resolved), with symlinks resolved.

    Raises MediaError: `media_outside_root` if the path is absolute or leads out of `root`, `media_missing` if it does
    not exist or is not a regular file.
    """
    if not path or "\0" in path:
        raise MediaError("media_missing", f"not a path: {path!r}")
    if len(path) > _MAX_PATH_CHARS:
        raise MediaError("media_missing", f"not a path: {len(path):,} characters, it starts {path[:80]!r}")
    if path.startswith(("/", "\\", "~")):
        raise MediaError("media_outside_root", f"an absolute path: {path!r}; paths are relative to the media root")
    real = Path(os.path.realpath(root / path))
    if not real.is_relative_to(root):
        raise MediaError("media_outside_root", f"{path!r} leads out of the media root")
    try:
        if real.is_file():
            return real
        raise MediaError("media_missing", f"{path!r} is {'not a regular file' if real.exists() else 'not there'}")
    except OSError as error:  # a name too long, a folder we may not enter
        raise MediaError("media_missing", f"{path!r}: {error.strerror}") from error


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a local file's bytes, as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def probe(path: str | Path, kind: str | None = None, sha256: str | None = None) -> Medium:
    """Measure a medium by decoding it: a whole image, or the first and last frame of a video.

    Without `kind`, what Pillow opens is an image and everything else a video. Raises MediaError `media_unreadable` if
    the file does not decode, ends early, or claims to be longer than its frames are.
    A decoder can hang or crash on a bad file: use `MediaPool` for files of unknown quality.
    """
    sha256 = sha256 or sha256_of(path)
    if kind is None:
        kind = "image" if _is_image(path) else "video"
    try:
        if kind == "image":
            return Medium(kind, sha256, *_image_size(path))
        shape = probe_video(str(path))
        return Medium(kind, sha256, shape.width, shape.height, shape.fps, shape.duration_s, shape.frames)
    except MediaError:
        raise
    except Exception as error:  # decoders raise exceptions of many kinds on a bad file
        raise MediaError("media_unreadable", f"{type(error).__name__}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]


def _is_image(path: str | Path) -> bool:
    from PIL import UnidentifiedImageError

    try:
        with open_image(path):
            return True
    except UnidentifiedImageError:
        return False


def _image_size(path: str | Path) -> tuple[int, int]:
    from PIL import Image, UnidentifiedImageError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # 90 to 180 megapixels are large, not broken
        try:
            with open_image(path) as image:
                image.load()
                return image.size
        except UnidentifiedImageError as error:
            formats = ", ".join(IMAGE_FORMATS)
            raise MediaError("media_unreadable", f"its bytes are no picture of a known format: {formats}") from error


class MediaStore:
    """A folder or bucket of media named by their SHA-256; adding a medium twice writes it once."""

    def __init__(self, root: str | Path) -> None:
        self.root = str(root).rstrip("/")
        self._fs, self._base = fsspec.core.url_to_fs(self.root)
        self._local = isinstance(self._fs, LocalFileSystem)

    def __contains__(self, sha256: str) -> bool:
        return bool(self._fs.exists(self._name(sha256)))

    def _name(self, sha256: str) -> str:
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise ValueError(f"not a SHA-256 in hex: {sha256!r}")
        return f"{self._base}/{sha256[:2]}/{sha256}"

    def path(self, sha256: str) -> Path:
        """A local path to the bytes, downloaded into a temporary cache if the store is a bucket.

        Raises MediaError `media_missing` if the store does not hold them, ValueError if the name is not a SHA-256.
        """
        name = self._name(sha256)
        if self._local:
            if os.path.isfile(name):  # noqa: PTH113 (called per row)
                return Path(name)
        elif self._fs.exists(name):
            return Path(fsspec.open_local(f"simplecache::{self._fs.unstrip_protocol(name)}", **{self._protocol(): {}}))
        raise MediaError("media_missing", f"{sha256} is not in {self.root}")

    def _protocol(self) -> str:
        return self._fs.protocol if isinstance(self._fs.protocol, str) else self._fs.protocol[0]

    def add(self, path: str | Path, kind: str | None = None) -> Medium:
        """Measure a local file and copy it into the store, atomically. Raises MediaError as `probe` does."""
        try:
            medium = probe(path, kind, sha256_of(path))
            if medium.sha256 not in self:
                self._copy_in(Path(path), medium.sha256)
        except OSError as error:
            if error.filename is not None and str(error.filename) == str(path):
                raise MediaError("media_missing", f"{path}: {error.strerror}") from error
            raise  # our own disk, not the medium
        return medium

    def sweep(self, older_than_s: float = 3600.0) -> int:
        """Remove partial copies of killed writers that are older than any copy takes; returns how many."""
        left = Path(self._base, ".incoming").glob("*") if self._local else ()
        stale = [path for path in left if time.time() - path.stat().st_mtime > older_than_s]
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)

    def keep(self, path: str | Path, sha256: str) -> None:
        """Copy in a local file that was measured elsewhere. Raises MediaError if its bytes are not `sha256`."""
        if sha256 not in self:
            self._copy_in(Path(path), sha256)

    def _copy_in(self, path: Path, sha256: str) -> None:
        target = self._name(sha256)
        if not self._local:
            self._fs.put_file(str(path), target)  # uploads are atomic
            return
        aside = Path(self._base, ".incoming", uuid.uuid4().hex)
        for folder in (aside.parent, Path(target).parent):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            with open(path, "rb") as source, open(aside, "wb") as copy:
                shutil.copyfileobj(source, copy, _CHUNK_BYTES)
            if sha256_of(aside) != sha256:
                raise MediaError("media_unreadable", f"{path} changed while it was read")
            aside.replace(target)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
