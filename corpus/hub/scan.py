"""Scan a publication for what must not become public: API keys and absolute paths.

A leak names the file, the column and what it looks like, never the secret itself.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.errors import OneThinkerError

# In RE2 syntax, which Arrow's kernels and Python's `re` both read.
SECRETS = {
    "an API key": r"\b(sk|pk|rk)-[A-Za-z0-9_-]{16,}",
    "an HF token": r"\bhf_[A-Za-z0-9]{16,}",
    "a GitHub token": r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})",
    "an AWS key": r"\b(AKIA|ASIA)[A-Z0-9]{16}\b",
    "a Google key": r"\bAIza[A-Za-z0-9_-]{30,}",
    "a Slack token": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "a bearer token": r"(?i)\bbearer [A-Za-z0-9._~+/-]{16,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
}
_ROOTS = "home|Users|root|mnt|tmp|var|opt|data|scratch|workspace|nfs|gpfs|lustre|srv|private|Volumes|work|fsx|efs"
PATHS = {
    "an absolute path": r"""(^|[\s"'=(\[:,;`])(/("""
    + _ROOTS
    + r""")/[\w.~@+-]+|file://|[A-Za-z]:\\{1,2}(Users|home|data)\\)""",
}
_KEY_NAMES = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$")
_SHOWN = 10


@dataclass(frozen=True)
class Leak:
    """One thing that must not be published: the file, the column (or line) and row, and what it looks like."""

    file: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}, {self.where}: {self.what}"


def check_no_leaks(folder: Path, allow: Sequence[str] = ()) -> None:
    """Raise OneThinkerError naming what `scan` finds in `folder`."""
    found = list(scan(folder, allow))
    if found:
        more = f"\n… and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise OneThinkerError(
            "not published; this looks like a secret or a private path:\n"
            + "\n".join(map(str, found[:_SHOWN]))
            + more
            + "\nfix the rows, or select without them; --allow TEXT lets harmless text through"
        )


def scan(folder: Path, allow: Sequence[str] = ()) -> Iterator[Leak]:
    """Every column of every Parquet file and every line of every text file that shows a secret or an absolute path.

    Values of environment variables whose names end in KEY, TOKEN, SECRET or PASSWORD count as secrets too. Text that
    holds one of `allow` passes. Bytes of media are not read.
    """
    patterns = {**SECRETS, **PATHS}
    for name, value in sorted(os.environ.items()):
        if _KEY_NAMES.search(name) and len(value) >= 12:
            patterns[f"the value of ${name}"] = re.escape(value)
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".parquet":
            yield from _scan_parquet(path, name, patterns, allow)
        elif path.suffix in (".md", ".json", ".yaml"):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                yield from (Leak(name, f"line {number}", what) for what in _match(line, patterns, allow))


def _match(text: str, patterns: dict[str, str], allow: Sequence[str]) -> list[str]:
    if any(harmless in text for harmless in allow):
        return []
    return [what for what, pattern in patterns.items() if re.search(pattern, text)]


def _scan_parquet(path: Path, name: str, patterns: dict[str, str], allow: Sequence[str]) -> Iterator[Leak]:
    file = pq.ParquetFile(path)
    columns = [field.name for field in file.schema_arrow if field.name not in ("images", "videos")]
    any_of = "|".join(f"({pattern})" for pattern in patterns.values())
    start = 0
    for batch in file.iter_batches(4_096, columns=columns):
        for column in columns:
            for values, row_of in _text_leaves(batch[column]):
                for i in pc.indices_nonzero(pc.match_substring_regex(values, any_of)).to_pylist():
                    row = start + (row_of[i].as_py() if row_of is not None else i)
                    for what in _match(values[i].as_py(), patterns, allow):
                        yield Leak(name, f"column {column}, row {row + 1}", what)
        start += len(batch)


def _text_leaves(values: pa.Array, row_of: pa.Array | None = None) -> Iterator[tuple[pa.Array, pa.Array | None]]:
    """The text leaves of a column, each with the row that every value belongs to."""
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield values, row_of
    elif pa.types.is_map(kind):
        yield from _text_leaves(
            values.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))), row_of
        )
    elif pa.types.is_list(kind):
        parents = pc.list_parent_indices(values)
        yield from _text_leaves(values.flatten(), parents if row_of is None else row_of.take(parents))
    elif pa.types.is_struct(kind):
        for i in range(kind.num_fields):
            yield from _text_leaves(pc.struct_field(values, i), row_of)
