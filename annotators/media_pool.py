"""Samples' media as request parts, decoded ahead of the requests in worker processes that a hang cannot hold up."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any

from pebble import ProcessExpired, ProcessPool

from annotators import media_encoding
from annotators.media_encoding import EncodedMedia, Undecodable
from annotators.messages import ContentPart, ImagePart, TextPart, VideoPart
from corpus.media import MediaError, MediaStore
from corpus.workers import Spawned, end_with_parent

CACHE_BYTES = 48 << 20


@dataclass(frozen=True)
class MediaOptions:
    """How a task's media are shown: pixel caps, and frames a second and in all for videos."""

    image_pixels: int
    frame_pixels: int
    fps: float
    max_frames: int
    native_video: bool = False


class EncoderPool:
    """Turns media of samples into parts. Decoding happens in `workers` processes, `timeout_s` a medium.

    What was prepared is kept, the newest 48 MB of it, for the further traces of the same sample. Use as a context
    manager: leaving it kills the workers.
    """

    def __init__(self, store: MediaStore, *, workers: int, timeout_s: float) -> None:
        self._store = store
        self._workers = workers
        self._timeout_s = timeout_s
        self._pool: ProcessPool | None = None
        self._kept: OrderedDict[Any, asyncio.Future[list[ContentPart]]] = OrderedDict()
        self._sizes: dict[Any, int] = {}

    async def parts(self, medium: Mapping[str, Any], look: MediaOptions, *, keep: bool) -> list[ContentPart]:
        """The parts that show one medium; `keep` them for a later trace. Raises Undecodable with a stable reason."""
        key = (medium["sha256"], look)
        if key in self._kept:
            self._kept.move_to_end(key)
            return await asyncio.shield(self._kept[key])
        if not keep:
            return await self._prepare(medium, look)
        future = asyncio.ensure_future(self._prepare(medium, look))
        self._kept[key] = future
        try:
            parts = await asyncio.shield(future)
        except BaseException:
            self._kept.pop(key, None)
            raise
        self._sizes[key] = sum(len(part.base64) for part in parts if not isinstance(part, TextPart))
        while sum(self._sizes.values()) > CACHE_BYTES and len(self._kept) > 1:
            oldest, _ = self._kept.popitem(last=False)
            self._sizes.pop(oldest, None)
        return parts

    async def _prepare(self, medium: Mapping[str, Any], look: MediaOptions) -> list[ContentPart]:
        try:
            path = self._store.path(medium["sha256"])
        except MediaError as error:
            raise Undecodable(error.reason, error.detail) from None
        if medium["kind"] == "image":
            shown = media_encoding.read_unchanged(path, medium["width"], medium["height"], look.image_pixels)
            return [_picture(shown or await self._decoded(media_encoding.image, str(path), look.image_pixels))]
        if look.native_video:
            clip = media_encoding.whole(str(path))
            return [VideoPart(clip.mime, clip.base64, medium["duration"])]
        frames: list[EncodedMedia] = await self._decoded(
            media_encoding.frames, str(path), medium["duration"], look.fps, look.max_frames, look.frame_pixels
        )
        parts: list[ContentPart] = []
        for frame in frames:
            parts += [TextPart(f"[{frame.at_s:.2f} s]"), _picture(frame)]
        return parts

    async def _decoded(self, function: Callable[..., Any], *args: Any) -> Any:
        if self._pool is None:
            self._pool = ProcessPool(self._workers, initializer=end_with_parent, context=Spawned())
        try:
            return await asyncio.wrap_future(self._pool.schedule(function, args=args, timeout=self._timeout_s))
        except (FutureTimeout, TimeoutError):
            raise Undecodable("media_hangs", f"not decoded within {self._timeout_s:g} s") from None
        except ProcessExpired as error:
            raise Undecodable("media_crashes_decoder", f"the decoder died with exit code {error.exitcode}") from None

    def __enter__(self) -> "EncoderPool":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()


def _picture(shown: EncodedMedia) -> ImagePart:
    return ImagePart(shown.mime, shown.base64, shown.width, shown.height)
