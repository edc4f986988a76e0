"""A training run in the corpus: its config, data, versions and seeds, and every step's metrics as rows for SQL."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from math import isnan
from numbers import Real
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from corpus.code_version import code_version

if TYPE_CHECKING:
    from corpus import Corpus
    from corpus.runs import Run
    from corpus.snapshots import Snapshot

PACKAGES = ("torch", "transformers", "trl", "accelerate", "peft", "tokenizers", "numpy", "datasets", "duckdb")
COMMIT_EVERY_S = 10.0  # a commit takes some 50 ms: not one for every step
SHOWN = ("loss", "reward", "kl", "entropy", "completions/mean_length", "grad_norm")  # of a step, to who is watching
FILE = "training.json"  # beside the model: which run made it, of what
CHECKPOINT = "checkpoint"  # the metric that says at which steps the model was saved


@dataclass
class Record:
    """The run that is going on, on the main process; on the others it is None wherever one is wanted."""

    run: "Run"
    told: dict[str, Any]
    output: Path
    every_s: float = COMMIT_EVERY_S
    _waiting: list[dict[str, Any]] = field(default_factory=list)
    _committed_at: float = field(default_factory=monotonic)

    def step(self, step: int, values: Mapping[str, Any]) -> None:
        """Keep the numbers of a step; they are committed now and then, and at the end. What is no number is left out.

        NaN is kept, as null: a metric that could not be measured at this step.
        """
        for name, value in values.items():
            if isinstance(value, Real) and not isinstance(value, bool):
                number = None if isnan(value) else float(value)
                self._waiting.append({"run_id": self.run.run_id, "step": step, "name": name, "value": number})
        if monotonic() - self._committed_at > self.every_s:
            self.commit()

    def checkpoint(self, step: int) -> None:
        """Note that `checkpoint-STEP` was saved, and which run it belongs to."""
        self.step(step, {CHECKPOINT: step})
        self.commit()
        folder = self.output / f"checkpoint-{step}"
        if folder.is_dir():
            self.write(folder)

    def commit(self) -> None:
        """Write what is waiting."""
        self._committed_at = monotonic()
        if self._waiting:
            with self.run.transaction("metrics") as tx:
                tx.append("metrics", self._waiting)
            self._waiting = []

    def write(self, folder: Path) -> None:
        """Put `training.json` beside a model."""
        (folder / FILE).write_text(json.dumps(self.told, indent=1, sort_keys=True, default=str) + "\n")


@contextmanager
def recorded(
    corpus: "Corpus",
    method: str,
    config: Mapping[str, Any],
    snapshot: "Snapshot",
    output: Path,
    *,
    ranks: int = 1,
    resumed_from: Path | None = None,
) -> Iterator[Record]:
    """Do the block as a run of kind `train`. What it was made of is kept in the run's config and in `training.json`."""
    parent = told_by(resumed_from).get("run_id") if resumed_from else None
    told: dict[str, Any] = {
        "method": method,
        "config": dict(config),
        "snapshot": snapshot.ref,
        "fingerprint": snapshot.fingerprint,
        "rows": snapshot.rows,
        "code_version": code_version(),
        "packages": versions(),
        "ranks": ranks,
        "output": str(output.absolute()),
        "resumed_from": str(resumed_from) if resumed_from else None,
        "continues": parent,
    }
    with corpus.run("train", told) as run:
        output.mkdir(parents=True, exist_ok=True)
        record = Record(run, told | {"run_id": run.run_id}, output)
        try:
            yield record
        finally:
            record.commit()


def versions() -> dict[str, str]:
    """The versions of the packages that decide what a training run computes."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def told_by(folder: Path) -> dict[str, Any]:
    """What `training.json` beside a model says; empty where there is none."""
    path = folder / FILE
    return json.loads(path.read_text()) if path.is_file() else {}


def attach(trainer: Any, record: Record) -> None:
    """Have a trainer feed a record; its steps go to standard error, where transformers would use standard output."""
    from transformers import PrinterCallback, TrainerCallback

    class Recording(TrainerCallback):  # type: ignore[misc]
        """Every log line becomes rows, every checkpoint a note."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            values = {name: float(value) for name, value in (logs or {}).items() if isinstance(value, Real)}
            record.step(state.global_step, values)
            shown = [f"{name} {values[name]:.4g}" for name in SHOWN if name in values]
            if shown:
                print(f"step {state.global_step}/{state.max_steps}  {'  '.join(shown)}", file=sys.stderr)

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            record.checkpoint(state.global_step)

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Recording())
