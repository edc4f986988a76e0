"""An image feature for `datasets` that decodes each image of a row once.

`datasets` 5.2 decodes the first image of every list twice, the first time only to see whether decoding changes it
(`decode_nested_example`): half of the decoding of rows with one image.
"""

from typing import Any

import datasets

from corpus.media.image import open_image


class CachedImage(datasets.Image):  # type: ignore[misc]
    """`datasets.Image` that returns the same object when it decodes the same value twice in a row."""

    _last: tuple[Any, Any] | None = None

    def decode_example(self, value: Any, token_per_repo_id: dict[str, Any] | None = None) -> Any:
        """The decoded PIL image. Raises FileNotFoundError, with its path, if the file is missing."""
        last, self._last = self._last, None
        if last is not None and last[0] is value:
            return last[1]
        if value.get("path") and value.get("bytes") is None:
            with open_image(value["path"]):  # refuses formats that are not allowed, by their header
                pass
        image = super().decode_example(value, token_per_repo_id)
        self._last = (value, image)
        return image
