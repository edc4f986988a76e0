"""snapshot.json of a publication: which version it is, and the SHA-256 of every file that a pull reads."""

import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from corpus.errors import OneThinkerError
from corpus.hub.layout import LAYOUT
from corpus.media import sha256_of

SNAPSHOT = "snapshot.json"
RECIPE = "recipe.yaml"
PROVENANCE = tuple(f"provenance/{name}.parquet" for name in ("prompts", "runs", "drops", "verdicts"))
MAX_SNAPSHOT_BYTES = 64_000_000
MAX_RECIPE_BYTES = 1_000_000
CLOCK_SKEW = timedelta(days=1)  # how far ahead of ours another machine's clock may be

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
RUN_ID = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
_PATH = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*/)*[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_READ = ("data/", "media/", "provenance/")


def _check_path(path: str) -> str:
    if not _PATH.fullmatch(path) or ".." in PurePosixPath(path).parts or len(path) > 400:
        raise ValueError(f"{path[:100]!r} is not the path of a file inside the repository")
    return path


def _check_time(text: str) -> str:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:60]!r} is not a time in ISO 8601") from None
    if at.tzinfo is None or at.year < 1970:
        raise ValueError(f"{text!r} has no time zone, or lies before 1970")
    if at > datetime.now(UTC) + CLOCK_SKEW:
        raise ValueError(f"{text} lies in the future")
    return text


class FileEntry(BaseModel):
    """What snapshot.json says of one file."""

    model_config = ConfigDict(strict=True)
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]


class Manifest(BaseModel):
    """A whole snapshot.json, every field checked."""

    model_config = ConfigDict(strict=True)
    layout: Annotated[int, Field(ge=1)]
    name: Annotated[str, Field(pattern=f"^{NAME}$")]
    version: Annotated[int, Field(ge=1, lt=2**31)]
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    rows: Annotated[int, Field(ge=1, lt=2**40)]
    counts: dict[Annotated[str, Field(max_length=200)], Annotated[int, Field(ge=0)]]
    profile: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    parent: Annotated[str, Field(pattern=f"^{NAME}@[0-9]{{1,10}}$")] | None
    code_version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.+ ()-]{0,99}$")] | None
    run_id: Annotated[str, Field(pattern=f"^{RUN_ID}$")] | None
    created_at: Annotated[str, AfterValidator(_check_time)]
    files: Annotated[dict[Annotated[str, AfterValidator(_check_path)], FileEntry], Field(max_length=2_000_000)]

    @property
    def ref(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def shards(self) -> list[str]:
        """The Parquet files with the rows."""
        return sorted(name for name in self.files if name.startswith("data/"))


def parse_manifest(content: bytes) -> Manifest:
    """snapshot.json from its bytes. Raises OneThinkerError naming each field that is wrong."""
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        found = [(".".join(map(str, e["loc"]))[:120] or "the file", e["msg"]) for e in error.errors()[:5]]
        detail = "; ".join(f"{where}: {what}" for where, what in found)
        raise OneThinkerError(f"{SNAPSHOT}: not a publication of onethinker ({detail})") from None
    if manifest.layout > LAYOUT:
        raise OneThinkerError(
            f"{SNAPSHOT}: it was published in layout {manifest.layout}, this version reads up to {LAYOUT}; "
            "upgrade onethinker"
        )
    if ".." in manifest.name:
        raise OneThinkerError(f"{SNAPSHOT}: name: {manifest.name!r} cannot name a snapshot")
    missing = [name for name in (RECIPE, *PROVENANCE) if name not in manifest.files]
    if missing:
        raise OneThinkerError(f"{SNAPSHOT}: files: {missing[0]} is missing from the publication")
    for name in manifest.shards:
        if not re.fullmatch(r"data/[a-z0-9_]+/[a-z0-9_]+/[^/]+\.parquet", name):
            raise OneThinkerError(f"{SNAPSHOT}: files: {name} is not data/TASK/SPLIT/SOURCE.parquet")
    if not manifest.shards:
        raise OneThinkerError(f"{SNAPSHOT}: files: there is no data/*/*/*.parquet, so there are no rows")
    if sum(manifest.counts.values()) != manifest.rows:
        raise OneThinkerError(
            f"{SNAPSHOT}: counts: they sum to {sum(manifest.counts.values()):,}, rows says {manifest.rows:,}"
        )
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """snapshot.json of a publication's folder. Raises OneThinkerError if it is missing, too large or wrong."""
    path = folder / SNAPSHOT
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OneThinkerError(f"no readable {SNAPSHOT}: it is not a regular file")
        if path.stat().st_size > MAX_SNAPSHOT_BYTES:
            raise OneThinkerError(f"{SNAPSHOT}: {path.stat().st_size:,} bytes; the limit is {MAX_SNAPSHOT_BYTES:,}")
        return parse_manifest(path.read_bytes())
    except OSError as error:
        raise OneThinkerError(f"no readable {SNAPSHOT}: not a publication of onethinker ({error.strerror})") from error


def check_files(folder: Path, manifest: Manifest) -> None:
    """Raise OneThinkerError unless every file that a pull reads is regular, inside, listed, and has its SHA-256."""
    root = _outermost(folder)
    for name, entry in manifest.files.items():
        if not (name.startswith(_READ) or name == RECIPE):
            continue  # the card is for people, who may edit it; nothing reads it
        path = folder / name
        if not path.is_file():
            raise OneThinkerError(f"{name} is missing from the publication")
        if not path.resolve().is_relative_to(root):
            raise OneThinkerError(f"{name} is a link that leads out of the publication")
        if path.stat().st_size != entry.bytes or sha256_of(path) != entry.sha256:
            raise OneThinkerError(f"{name} has changed since it was published (its SHA-256 differs)")
    for top in _READ:
        for path in (folder / top).rglob("*"):
            name = path.relative_to(folder).as_posix()
            if not path.is_dir() and name not in manifest.files:
                raise OneThinkerError(f"{name} is not among the files of {SNAPSHOT}; remove it, or publish again")


def read_recipe(folder: Path) -> str:
    """The recipe's text. Raises OneThinkerError if it is too large or not UTF-8."""
    content = (folder / RECIPE).read_bytes()
    if len(content) > MAX_RECIPE_BYTES:
        raise OneThinkerError(f"{RECIPE}: {len(content):,} bytes; the limit is {MAX_RECIPE_BYTES:,}")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise OneThinkerError(f"{RECIPE}: not UTF-8 ({error})") from error


def _outermost(folder: Path) -> Path:
    """Where links of a publication may lead: its folder, or, in the Hub's cache, its repository's with the blobs."""
    folder = folder.resolve()
    cached = folder.parent.parent
    return cached if folder.parent.name == "snapshots" and (cached / "blobs").is_dir() else folder


def as_metadata(manifest: Manifest) -> dict[str, Any]:
    """The fields that `Snapshots.install` reads."""
    return manifest.model_dump(exclude={"files", "layout"})
