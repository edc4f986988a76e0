"""Which media a publication holds, and where: inside the rows, beside them, or not at all."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.errors import UsageError
from corpus.media import MediaError, MediaStore
from corpus.media.link import link, name_with_suffix

EMBEDDED, WITHHELD = "embedded", "withheld"  # the other values of `media_at` are paths
# Terms that forbid redistributing the files; the row then names them by SHA-256 and origin only.
_NO_REDISTRIBUTION = re.compile(
    r"no.?redistribut|not.?redistribut|proprietary|all.rights.reserved|on.request|request.form|do.not.distribute", re.I
)


@dataclass(frozen=True)
class Policy:
    """Which media are published: files over `embed_bytes` lie beside the rows, withheld licences stay out."""

    embed_bytes: int = 16_000_000
    withheld_licences: frozenset[str] = frozenset()  # besides those whose text forbids it; `unknown`: none stated

    def __post_init__(self) -> None:
        if self.embed_bytes < 0:
            raise UsageError(f"media of up to {self.embed_bytes} bytes cannot be embedded; 0 embeds none")

    def withholds(self, licence: str | None) -> bool:
        """Whether media under this licence are left out."""
        return (licence or "unknown") in self.withheld_licences or bool(_NO_REDISTRIBUTION.search(licence or ""))


@dataclass(frozen=True)
class MediaPlacer:
    """Places the media of a publication under `folder` by a policy."""

    store: MediaStore
    folder: Path
    policy: Policy

    def place(self, medium: dict[str, Any], licence: str | None) -> tuple[str, Path | None, int]:
        """A medium's `media_at`, the file to embed in its row (or None), and the bytes that adds to the row."""
        if self.policy.withholds(licence):
            return WITHHELD, None, 0
        try:
            path = self.store.path(medium["sha256"])
        except MediaError:  # it is not in the corpus
            return WITHHELD, None, 0
        size = path.stat().st_size
        if size <= self.policy.embed_bytes:
            return EMBEDDED, path, size
        place = f"media/{medium['sha256'][:2]}/{name_with_suffix(path)}"
        link(path, self.folder / place)
        return place, None, 0
