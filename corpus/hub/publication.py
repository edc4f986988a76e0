"""A publication that was checked whole: where its files are, which version it is, and what a pull may add."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from corpus.errors import OneThinkerError, UsageError
from corpus.hub.manifest import MAX_SNAPSHOT_BYTES, RECIPE, SNAPSHOT, Manifest, check_files, read_manifest, read_recipe
from corpus.hub.parquet_file import translate
from corpus.hub.pulled_provenance import Provenance, check_provenance
from corpus.hub.pulled_rows import PulledRows, check_rows
from corpus.hub.remote import Remote

_WANTED = ["data/*", "media/*", "provenance/*", RECIPE, SNAPSHOT]


@dataclass(frozen=True)
class Publication:
    """A publication's folder and its snapshot.json, not yet further than that checked: see `check`."""

    source: str
    folder: Path
    manifest: Manifest

    def check(self) -> "CheckedPublication":
        """Check every file, row, id and medium. Raises OneThinkerError naming file, row and column."""
        check_files(self.folder, self.manifest)
        recipe = read_recipe(self.folder)
        with translate("the publication"):
            rows = check_rows(self.folder, self.manifest)
            provenance = check_provenance(self.folder, self.manifest, rows)
        return CheckedPublication(self.source, self.folder, self.manifest, recipe, rows, provenance)


@dataclass(frozen=True)
class CheckedPublication:
    """A publication whose every row, id and file was checked."""

    source: str
    folder: Path
    manifest: Manifest
    recipe: str
    rows: PulledRows
    provenance: Provenance


def find_publication(source: str) -> Publication:
    """The folder of a dry run, or `user/repo@V` from the Hub, downloaded; its snapshot.json is checked.

    Raises UsageError if `source` is neither, OneThinkerError if it is no publication of onethinker or of another
    version than the one asked for.
    """
    folder = Path(source).expanduser()
    if folder.is_dir() and (folder / SNAPSHOT).is_file():
        return Publication(source, folder, read_manifest(folder))
    repo, at, version = source.partition("@")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise UsageError(f"'{source}' is neither a Hub dataset (user/repo@V) nor the folder of a publication")
    if not at or not re.fullmatch(r"v?\d+", version):
        raise UsageError(f"'{source}' names no version: use {repo}@1")
    remote = Remote(repo, f"v{version.lstrip('v')}")
    sizes = remote.list_sizes()
    if sizes.get(SNAPSHOT, 0) > MAX_SNAPSHOT_BYTES:
        raise OneThinkerError(f"{SNAPSHOT}: {sizes[SNAPSHOT]:,} bytes; the limit is {MAX_SNAPSHOT_BYTES:,}")
    manifest = read_manifest(remote.download([SNAPSHOT]))
    if manifest.version != int(version.lstrip("v")):
        raise OneThinkerError(f"{SNAPSHOT}: version: {manifest.version}, but the tag is {remote.tag}")
    _check_sizes(sizes, manifest)
    return Publication(source, remote.download(_WANTED), manifest)


def _check_sizes(sizes: dict[str, int], manifest: Manifest) -> None:
    """Before anything is downloaded: the Hub's files are those of snapshot.json, and there is room for them."""
    for name, size in sizes.items():
        if name.startswith(("data/", "media/", "provenance/")):
            entry = manifest.files.get(name)
            if entry is None:
                raise OneThinkerError(f"{name[:200]!r} is not among the files of {SNAPSHOT}")
            if entry.bytes != size:
                raise OneThinkerError(
                    f"{name} has changed since it was published ({size:,} bytes, not {entry.bytes:,})"
                )
    total, free = sum(sizes.values()), shutil.disk_usage(Path.home()).free
    if total > free:
        raise OneThinkerError(f"the publication has {total:,} bytes, and {free:,} are free on this disk")
