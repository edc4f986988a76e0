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
COMMIT_EVERY_S = 10.0  # a commit takes about 50 ms, too long for every step
PRINTED = (
    "loss",
    "reward",
    "kl",
    "entropy",
    "completions/mean_length",
    "grad_norm",
)  # printed at each step
FILE = "training.json"  # the manifest beside a model: which run made it, and from what
CHECKPOINT = "checkpoint"  # the metric whose steps are those at which the model was saved


@dataclass
class RunLog:
    """The metrics and the manifest of a training run. It exists on the main process only; other ranks have None."""

    run: "Run"
    manifest: dict[str, Any]
    output: Path
    every_s: float = COMMIT_EVERY_S
    _buffer: list[dict[str, Any]] = field(default_factory=list)
    _committed_at: float = field(default_factory=monotonic)

    def step(self, step: int, values: Mapping[str, Any]) -> None:
        """Add a step's metrics; they are committed every `every_s` seconds and at the end of the run.

        Values that are not numbers are skipped. NaN is stored as null: the metric could not be measured at this step.
        """
        for name, value in values.items():
            if isinstance(value, Real) and not isinstance(value, bool):
                number = None if isnan(value) else float(value)
                self._buffer.append({"run_id": self.run.run_id, "step": step, "name": name, "value": number})
        if monotonic() - self._committed_at > self.every_s:
            self.commit()

    def checkpoint(self, step: int) -> None:
        """Record that `checkpoint-STEP` was saved, and write the manifest into it."""
        self.step(step, {CHECKPOINT: step})
        self.commit()
        folder = self.output / f"checkpoint-{step}"
        if folder.is_dir():
            self.write(folder)

    def commit(self) -> None:
        """Commit the buffered metrics."""
        self._committed_at = monotonic()
        if self._buffer:
            with self.run.transaction("metrics") as tx:
                tx.append("metrics", self._buffer)
            self._buffer = []

    def write(self, folder: Path) -> None:
        """Write `training.json` beside a model."""
        (folder / FILE).write_text(json.dumps(self.manifest, indent=1, sort_keys=True, default=str) + "\n")


@contextmanager
def open_run_log(
    corpus: "Corpus",
    method: str,
    config: Mapping[str, Any],
    snapshot: "Snapshot",
    output: Path,
    *,
    ranks: int = 1,
    resumed_from: Path | None = None,
) -> Iterator[RunLog]:
    """Run the block as a run of kind `train`; its config, data and versions go to the run's config and the manifest."""
    parent = read_manifest(resumed_from).get("run_id") if resumed_from else None
    manifest: dict[str, Any] = {
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
    with corpus.run("train", manifest) as run:
        output.mkdir(parents=True, exist_ok=True)
        log = RunLog(run, manifest | {"run_id": run.run_id}, output)
        try:
            yield log
        finally:
            log.commit()


def versions() -> dict[str, str]:
    """The versions of the packages that decide what a training run computes."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest `training.json` beside a model, or {} if the folder has none."""
    path = folder / FILE
    return json.loads(path.read_text()) if path.is_file() else {}


def attach(trainer: Any, log: RunLog) -> None:
    """Send a trainer's metrics and checkpoints to a run log, and print its steps to standard error."""
    from transformers import PrinterCallback, TrainerCallback

    class Recording(TrainerCallback):  # type: ignore[misc]
        """Writes every log line and every checkpoint to the run log."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            values = {name: float(value) for name, value in (logs or {}).items() if isinstance(value, Real)}
            log.step(state.global_step, values)
            printed = [f"{name} {values[name]:.4g}" for name in PRINTED if name in values]
            if printed:
                print(f"step {state.global_step}/{state.max_steps}  {'  '.join(printed)}", file=sys.stderr)

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            log.checkpoint(state.global_step)

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Recording())
