"""Charges that no trace's cost shows, in `charges/RUN_ID.jsonl`: a run that continues a killed one counts them.

One line for each answer whose tokens the provider did not report, and for each request that broke after it was sent,
with the most that it can have cost. A line reaches the operating system at once, so that a killed process loses none.
"""

import os
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import orjson

from annotators.log import log_warning

FOLDER = "charges"


class ChargeLog:
    """The file of one run, made with its first line."""

    def __init__(self, root: Path, run_id: str) -> None:
        self._path = root / FOLDER / f"{run_id}.jsonl"

    def add(self, trace_id: str, reason: str, usd: Decimal) -> None:
        """Append a charge of at most `usd`; a full disk is logged and stops nothing."""
        if not usd:
            return
        line = orjson.dumps({"trace_id": trace_id, "reason": reason, "usd": str(usd)}) + b"\n"
        try:
            self._path.parent.mkdir(exist_ok=True)
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.write(file, line)
            finally:
                os.close(file)
        except OSError as error:
            log_warning("charge_not_logged", trace_id=trace_id, detail=str(error))


def sum_charges(root: Path, run_ids: Iterable[str]) -> Decimal:
    """The charges of some runs together, in USD. A line that was cut off or damaged is left out, and logged."""
    total = Decimal(0)
    for run_id in run_ids:
        path = root / FOLDER / f"{run_id}.jsonl"
        for line in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
            try:
                usd = Decimal(orjson.loads(line)["usd"])
            except (ValueError, TypeError, KeyError, ArithmeticError):
                log_warning("charge_unreadable", file=str(path), detail=ascii(line[:80]))
                continue
            total += usd if usd.is_finite() and usd > 0 else 0
    return total
