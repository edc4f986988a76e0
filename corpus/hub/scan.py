"""Scan a publication for what must not become public: API keys and absolute paths.

A leak names the file, the column and what it looks like, never the secret itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.errors import OneThinkerError
from corpus.hub.secret_rules import Rules

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
            + "\nfix the rows, or select without them; --allow TEXT lets through what lies within that text"
        )


def scan(folder: Path, allow: Sequence[str] = ()) -> Iterator[Leak]:
    """Every column of every Parquet file and every line of every text file that shows a secret or an absolute path.

    The rules are those of `corpus.hub.secret_rules`. A match passes if it lies within one of the texts `allow`; others
    in the same cell do not. Bytes of media are not read.
    """
    rules = Rules()
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".parquet":
            yield from _scan_parquet(path, name, rules, allow)
        elif path.suffix in (".md", ".json", ".yaml"):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                yield from (Leak(name, f"line {number}", what) for what in _match(line, rules, allow))


def _match(text: str, rules: Rules, allow: Sequence[str]) -> list[str]:
    """What the text shows that `allow` does not let through, each kind once."""
    harmless = [span for allowed in allow if allowed.strip() for span in _occurrences(allowed, text)]
    found = {
        what: None
        for what, start, end in rules.find(text)
        if not any(first <= start and end <= last for first, last in harmless)
    }
    return list(found)


def _occurrences(part: str, text: str) -> Iterator[tuple[int, int]]:
    start = text.find(part)
    while start >= 0:
        yield start, start + len(part)
        start = text.find(part, start + 1)


def _scan_parquet(path: Path, name: str, rules: Rules, allow: Sequence[str]) -> Iterator[Leak]:
    file = pq.ParquetFile(path)
    columns = [field.name for field in file.schema_arrow if field.name not in ("images", "videos")]
    start = 0
    for batch in file.iter_batches(4_096, columns=columns):
        for column in columns:
            for values, row_of in _text_leaves(batch[column]):
                for i in _find_candidates(values, rules):
                    row = start + (row_of[i].as_py() if row_of is not None else i)
                    for what in _match(values[i].as_py(), rules, allow):
                        yield Leak(name, f"column {column}, row {row + 1}", what)
        start += len(batch)


def _find_candidates(values: pa.Array, rules: Rules) -> list[int]:
    """The places of the values that a rule may match; equal values are looked at once, so that most cost nothing."""
    encoded = values.dictionary_encode()
    matched = pa.array([False] * len(encoded.dictionary), pa.bool_())
    for pattern in rules.candidates:
        matched = pc.or_(matched, pc.match_substring_regex(encoded.dictionary, pattern))
    places: list[int] = pc.indices_nonzero(pc.fill_null(matched.take(encoded.indices), False)).to_pylist()
    return places


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
