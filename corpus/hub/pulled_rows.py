"""The rows of a publication, each checked anew: ids computed again, values in range, media what they claim.

A publication may claim anything about its own traces, and the corpus will say who claimed it; what it may not do is
name a row by an id that is not its own, or hold a value that stops a later command.
"""

import hashlib
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from corpus.errors import OneThinkerError, near
from corpus.hub.layout import features
from corpus.hub.manifest import RUN_ID, Manifest
from corpus.hub.media_policy import EMBEDDED, WITHHELD
from corpus.hub.parquet_file import GROUP_ROWS, MEDIA_ROWS, check_parquet, read_batches
from corpus.ids import sample_id_of, trace_id_of
from corpus.ingest.rules import DATA_TYPES
from corpus.media import sha256_of
from corpus.media.image import open_image
from corpus.snapshots import row_format
from corpus.tasks import tasks

_SHA256 = re.compile(r"[0-9a-f]{64}")
_RUN_ID = re.compile(RUN_ID)
_MAX_WORD = 1_000  # characters of a name: source, split, licence, teacher, mode, verifier
_WORDS = ("source", "split", "licence", "truth_origin", "teacher", "mode", "prompt_id", "finish_reason", "flag",
          "request_id", "batch_id", "verifier", "reason")  # fmt: skip
_REQUIRED = ("sample_id", "trace_id", "problem", "teacher", "mode", "response", "verifier", "prompt")
_RANGES = {
    "format": (0.0, 1.0), "accuracy": (0.0, 1.0), "structure": (-10.0, 10.0), "reward": (-10.0, 10.0),
    "attempt": (0, 2**31 - 1), "input_tokens": (0, 10**10), "output_tokens": (0, 10**10), "cached_tokens": (0, 10**10),
    "reasoning_tokens": (0, 10**10), "cost_usd": (0, 10**6), "latency_s": (0.0, 1e8),
}  # fmt: skip
_MEDIUM_RANGES = {
    "width": (1, 10**6), "height": (1, 10**6), "fps": (1e-9, 1e6), "duration": (0.0, 1e8), "frames": (0, 10**10),
}  # fmt: skip


@dataclass
class PulledRows:
    """What the checked rows name: their traces, and the runs and prompts behind them."""

    traces: dict[str, bytes] = field(default_factory=dict)  # trace_id → digest of its content
    runs: set[str] = field(default_factory=set)
    prompts: set[str] = field(default_factory=set)


def check_rows(folder: Path, manifest: Manifest) -> PulledRows:
    """Check every row and medium of a publication. Raises OneThinkerError naming file, row and column."""
    schema = features().arrow_schema
    found = PulledRows()
    positions: set[int] = set()
    rows = sum(check_parquet(folder, name, schema, has_media=True) for name in manifest.shards)
    if rows != manifest.rows:
        raise OneThinkerError(f"snapshot.json: rows: {manifest.rows:,}, but the files under data/ hold {rows:,}")
    checker = _RowChecker(manifest, found)
    for name in manifest.shards:
        for number, row in _rows(folder, name, row_format.schema().names, GROUP_ROWS):
            if wrong := checker.find(row):
                raise OneThinkerError(f"{name}, row {number}, {wrong[0]}: {wrong[1]}")
            positions.add(row["position"])
    if positions != set(range(rows)):
        raise OneThinkerError(f"data/: column position does not number the {rows:,} rows from 0 without a gap")
    for name in manifest.shards:
        for number, row in _rows(folder, name, ["images", "videos", "media", "media_at"], MEDIA_ROWS):
            if wrong := _wrong_media(row, folder, manifest):
                raise OneThinkerError(f"{name}, row {number}, {wrong[0]}: {wrong[1]}")
    return found


def _rows(folder: Path, name: str, columns: list[str], rows: int) -> Iterator[tuple[int, dict[str, Any]]]:
    for first, batch in read_batches(folder, name, columns, rows):
        yield from enumerate(batch.to_pylist(), first)


Wrong = tuple[str, str] | None  # the column, and what is wrong with it


class _RowChecker:
    def __init__(self, manifest: Manifest, found: PulledRows) -> None:
        self._manifest, self._found = manifest, found
        self._tasks = tasks()
        self._checks: tuple[Callable[[Mapping[str, Any]], Wrong], ...] = (
            self._wrong_value, self._wrong_kind, self._wrong_medium, self._wrong_json, self._wrong_id,
        )  # fmt: skip

    def find(self, row: Mapping[str, Any]) -> Wrong:
        """What is wrong with a row; a good one adds what it names to `found`."""
        if wrong := next((wrong for check in self._checks if (wrong := check(row))), None):
            return wrong
        for name in ("run_id", "trace_run_id", "verdict_run_id"):
            if row[name] is not None:
                self._found.runs.add(row[name])
        if row["prompt_id"] is not None:
            self._found.prompts.add(row["prompt_id"])
        content = hashlib.sha256(row["response"].encode()).digest()
        if self._found.traces.setdefault(row["trace_id"], content) != content:
            return "response", f"two rows have the trace {row['trace_id']}, with different responses"
        return None

    def _wrong_value(self, row: Mapping[str, Any]) -> Wrong:
        for name in _REQUIRED:
            if row[name] is None:
                return name, "it is null"
        for name in _WORDS:
            if row[name] is not None and len(row[name]) > _MAX_WORD:
                return name, f"{len(row[name]):,} characters; the limit is {_MAX_WORD:,}"
        for name in ("run_id", "trace_run_id", "verdict_run_id"):
            if row[name] is not None and not _RUN_ID.fullmatch(row[name]):
                return name, f"{row[name][:60]!r} is not the id of a run"
        if row["profile"] != self._manifest.profile:
            return "profile", f"{str(row['profile'])[:60]!r}, snapshot.json says {self._manifest.profile!r}"
        for pair in row["components"] or []:
            if pair is None or pair["key"] is None or not _is_in(pair["value"], (-1e9, 1e9)):
                return "components", f"{str(pair)[:80]} is not a name with a finite number"
        return _out_of_range(row, _RANGES)

    def _wrong_kind(self, row: Mapping[str, Any]) -> Wrong:
        kind = row["problem_type"]
        if kind not in self._tasks:
            known = near(str(kind)[:60], self._tasks)
            return "problem_type", f"no task is called '{str(kind)[:60]}'{known} (a plug-in may define it)"
        if row["data_type"] not in DATA_TYPES:
            return "data_type", f"unknown data_type '{str(row['data_type'])[:60]}'"
        family = self._tasks[kind].family(row)
        if row["task"] != family:
            return "task", f"'{str(row['task'])[:60]}', but '{kind}' on {row['data_type']} belongs to '{family}'"
        if row["answer"] is None and row["truth"] is None:
            return "answer", "there is neither an answer nor a truth"
        if row["mode"] == "judge":
            return "mode", "a judge's reply speaks about other traces; it is no training row"
        return None

    def _wrong_medium(self, row: Mapping[str, Any]) -> Wrong:
        for i, medium in enumerate(row["media"] or []):
            if medium is None or not _SHA256.fullmatch(medium["sha256"] or ""):
                return f"media[{i}].sha256", "it is not a SHA-256"
            if medium["width"] is None or medium["height"] is None:
                return f"media[{i}]", "it has no width or height"
            if wrong := _out_of_range(medium, _MEDIUM_RANGES):
                return f"media[{i}].{wrong[0]}", wrong[1]
        kinds = {medium["kind"] for medium in row["media"] or []}
        if kinds != DATA_TYPES[row["data_type"]]:
            shown = ", ".join(sorted(str(kind)[:20] for kind in kinds)) or "none"
            return "media", f"data_type is '{row['data_type']}', the media are {shown}"
        return None

    def _wrong_json(self, row: Mapping[str, Any]) -> Wrong:
        for name in ("truth", "params", "raw"):
            if row[name] is not None:
                try:
                    orjson.loads(row[name])
                except orjson.JSONDecodeError as error:
                    return name, f"it is not JSON ({error})"
        return None

    def _wrong_id(self, row: Mapping[str, Any]) -> Wrong:
        if row["sample_id"] != (own := sample_id_of(row)):
            return "sample_id", f"{row['sample_id'][:40]!r}; its content has the id {own}"
        renamed = {**row, "trace_id": None}
        if row["trace_id"] != (own := trace_id_of(renamed)):
            return "trace_id", f"{row['trace_id'][:40]!r}; its request has the id {own}"
        return None


def _out_of_range(row: Mapping[str, Any], ranges: Mapping[str, tuple[float, float]]) -> Wrong:
    for name, (least, most) in ranges.items():
        if not _is_in(row[name], (least, most)):
            return name, f"{row[name]} is not a number from {least:g} to {most:g}"
    return None


def _is_in(value: Any, bounds: tuple[float, float]) -> bool:
    return value is None or (math.isfinite(value) and bounds[0] <= value <= bounds[1])


def _wrong_media(row: Mapping[str, Any], folder: Path, manifest: Manifest) -> Wrong:
    """What is wrong with where a row's media lie, or with their bytes."""
    places, media = row["media_at"] or [], row["media"] or []
    if len(places) != len(media):
        return "media_at", f"{len(places)} places for {len(media)} media"
    embedded = {kind: list(row[f"{kind}s"] or []) for kind in ("image", "video")}
    for i, (medium, where) in enumerate(zip(media, places, strict=True)):
        if where == WITHHELD:
            continue
        if where == EMBEDDED:
            if not embedded[medium["kind"]]:
                return f"{medium['kind']}s", f"medium {i} is said to be embedded, and is not"
            content = (embedded[medium["kind"]].pop(0) or {}).get("bytes")
            if content is None or hashlib.sha256(content).hexdigest() != medium["sha256"]:
                return f"{medium['kind']}s", f"the bytes of medium {i} do not have the SHA-256 of their row"
            opened: Any = io.BytesIO(content)
        else:
            if not re.fullmatch(r"media/[0-9a-f]{2}/[0-9a-f]{64}(\.\w{1,10})?", where or ""):
                return "media_at", f"{str(where)[:80]!r} is neither '{EMBEDDED}', '{WITHHELD}' nor a file of media/"
            if where not in manifest.files:
                return "media_at", f"{where} is not among the files of snapshot.json"
            if sha256_of(folder / where) != medium["sha256"]:
                return "media_at", f"{where} does not have the SHA-256 of its row"
            opened = folder / where
        if medium["kind"] == "image" and (wrong := _wrong_image(opened, medium)):
            return f"media[{i}]", wrong
    if left := next((kind for kind, blobs in embedded.items() if blobs), None):
        return f"{left}s", "there are more embedded media than `media_at` names"
    return None


def _wrong_image(opened: Any, medium: Mapping[str, Any]) -> str | None:
    """What is wrong with an image, by its header alone."""
    try:
        with open_image(opened) as image:
            size = image.size
    except Exception as error:  # Pillow's readers raise exceptions of many kinds on a bad file
        return f"Pillow cannot open this image ({type(error).__name__})"
    if size != (medium["width"], medium["height"]):
        return f"the image is {size[0]} × {size[1]}, its row says {medium['width']} × {medium['height']}"
    return None
