"""How many tokens a text or a picture counts for: a documented estimate, the same for the same request.

Text: one token for each four characters, rounded up. Pictures: 85 tokens and 170 for each tile of 512 x 512 pixels,
after fitting the picture into a square of 1024, which is how OpenAI's guide counted for its first vision models. A
provider's real numbers differ; nothing here should be taken for a price.
"""

import math

_BASE, _EACH_TILE, _TILE, _LARGEST = 85, 170, 512, 1024


def count_text(text: str) -> int:
    """Tokens of a text; 0 for the empty one."""
    return math.ceil(len(text) / 4)


def count_image(width: int, height: int) -> int:
    """Tokens of a picture of so many pixels."""
    scale = min(1.0, _LARGEST / max(width, height, 1))
    tiles = math.ceil(width * scale / _TILE) * math.ceil(height * scale / _TILE)
    return _BASE + _EACH_TILE * max(tiles, 1)


def truncate(text: str, most: int) -> str:
    """The beginning of a text that counts for at most so many tokens."""
    return text[: 4 * most]
