"""Token counts of texts and images: a deterministic, documented estimate.

Text: one token for every four characters, rounded up. Images: 85 tokens, and 170 for each tile of 512 x 512 pixels
after fitting the image into a square of 1024, as OpenAI's guide counted for its first vision models. The real numbers
of a provider differ.
"""

import math

_BASE, _EACH_TILE, _TILE, _LARGEST = 85, 170, 512, 1024


def count_text(text: str) -> int:
    """Tokens of a text; 0 for an empty one."""
    return math.ceil(len(text) / 4)


def count_image(width: int, height: int) -> int:
    """Tokens of an image of this size in pixels."""
    scale = min(1.0, _LARGEST / max(width, height, 1))
    tiles = math.ceil(width * scale / _TILE) * math.ceil(height * scale / _TILE)
    return _BASE + _EACH_TILE * max(tiles, 1)


def truncate(text: str, most: int) -> str:
    """The longest beginning of a text of at most `most` tokens."""
    return text[: 4 * most]
