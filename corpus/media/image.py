"""Pictures are opened here and nowhere else: by an allow-list of formats.

Pillow reads some forty formats, among them ones that start another program (Ghostscript, for PostScript) and ones whose
decoders few people test. A medium's name says nothing about which one its bytes ask for.
"""

from functools import cache
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    from PIL.Image import Image

IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")


def open_image(source: "str | PathLike[str] | IO[bytes]") -> "Image":
    """The picture in a file, whose pixels are decoded when they are first used; close it, or use it as a context.

    Raises PIL.UnidentifiedImageError if its bytes are of none of IMAGE_FORMATS, and what Pillow raises on broken ones.
    """
    from PIL import Image

    return Image.open(source, formats=_readable_formats())


@cache
def _readable_formats() -> tuple[str, ...]:
    from PIL import Image

    Image.init()
    return tuple(name for name in IMAGE_FORMATS if name in Image.OPEN)  # AVIF is new
