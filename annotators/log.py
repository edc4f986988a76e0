"""A run's events as JSON lines in `logs/RUN_ID.jsonl`: faults, rejects, odd answers, changes of pace, why it stopped.

Ordinary `logging` underneath (the logger is `onethinker.annotate`), so a program's own handlers see them too. No key,
header, prompt or picture is in any of it: what is logged was cleaned where it was read.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

_logger = logging.getLogger("onethinker.annotate")


def log_event(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log one event with its fields; nothing happens outside `log_to_file`, unless the program listens itself."""
    _logger.log(level, event, extra={"fields": fields})


def log_warning(event: str, **fields: Any) -> None:
    """Log what somebody may want to look into."""
    log_event(event, level=logging.WARNING, **fields)


@contextmanager
def log_to_file(folder: Path, run_id: str) -> Iterator[None]:
    """Write the events of the block to a file of their own, made when the first comes."""
    folder.mkdir(exist_ok=True)
    handler = logging.FileHandler(folder / f"{run_id}.jsonl", encoding="utf-8", delay=True)
    handler.setFormatter(_Lines())
    before = _logger.level
    _logger.addHandler(handler)
    _logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        _logger.removeHandler(handler)
        _logger.setLevel(before)
        handler.close()


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        row = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        return orjson.dumps(row | getattr(record, "fields", {}), default=str).decode()
