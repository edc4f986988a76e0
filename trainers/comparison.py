"""Two training runs of a corpus side by side: settings that differ, final metrics, and curves."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from corpus.errors import OneThinkerError, near
from trainers.svg import Panel, render_panels

if TYPE_CHECKING:
    from corpus import Corpus

# The metrics to plot, by prefix and suffix of their names; each becomes a panel with the curves of both runs.
PLOTTED = (
    ("reward", ""),
    ("loss", ""),
    ("entropy", ""),
    ("completions/mean_length", ""),
    ("task/", "/reward_mean"),
    ("task/", "/share"),
    ("task/", "/sigma"),
)


@dataclass(frozen=True)
class RunComparison:
    """Two runs: tables to print, and every metric's curve, by run and by name, as (step, value) pairs."""

    settings: pa.Table
    metrics: pa.Table
    curves: dict[str, dict[str, list[tuple[int, float]]]]

    def svg(self) -> str:
        """The curves of reward, lengths, entropy, and of each task's reward, share and moments, as one SVG."""
        plots = []
        for prefix, suffix in PLOTTED:
            names = sorted({n for curves in self.curves.values() for n in curves if _named(n, prefix, suffix)})
            plots += [
                Panel(name, {run: curves[name] for run, curves in self.curves.items() if name in curves})
                for name in names
            ]
        return render_panels(plots)


def compare_runs(corpus: "Corpus", a: str, b: str) -> RunComparison:
    """Compare two runs, each named by its id or by its output folder's name (the newest run of that name).

    Raises OneThinkerError, with near names, for an unknown run.
    """
    runs = {name: _run(corpus, name) for name in (a, b)}
    configs = {name: _flat(orjson.loads(config)) for name, (_, config) in runs.items()}
    differing = [
        {"setting": key, a: str(configs[a].get(key)), b: str(configs[b].get(key))}
        for key in sorted(configs[a].keys() | configs[b].keys())
        if configs[a].get(key) != configs[b].get(key)
    ]
    curves = {name: load_curves(corpus, run_id) for name, (run_id, _) in runs.items()}
    names = sorted(curves[a].keys() | curves[b].keys())
    rows = [
        {"metric": name, a: _final_mean(curves[a].get(name)), b: _final_mean(curves[b].get(name))} for name in names
    ]
    text, number = pa.string(), pa.float64()
    return RunComparison(
        pa.Table.from_pylist(differing, pa.schema([("setting", text), (a, text), (b, text)])),
        pa.Table.from_pylist(rows, pa.schema([("metric", text), (a, number), (b, number)])),
        curves,
    )


def load_curves(corpus: "Corpus", run_id: str) -> dict[str, list[tuple[int, float]]]:
    """Every metric of a run as (step, value) pairs, with the earlier steps of the runs that it continues."""
    chain = []
    current: str | None = run_id
    while current is not None and current not in chain:
        chain.append(current)
        found = corpus.sql("select config from runs where run_id = ?", [current]).fetchone()
        current = orjson.loads(found[0]).get("continues") if found else None
    order = {run: place for place, run in enumerate(chain)}
    rows = corpus.sql(
        "select run_id, name, step, value from metrics where run_id in (select unnest(?)) and value is not null",
        [chain],
    ).fetchall()
    newest: dict[tuple[str, int], tuple[int, float]] = {}
    for run, name, step, value in rows:
        place = order[run]
        if (name, step) not in newest or place < newest[name, step][0]:
            newest[name, step] = (place, value)
    curves: dict[str, list[tuple[int, float]]] = {}
    for (name, step), (_, value) in sorted(newest.items()):
        curves.setdefault(name, []).append((step, value))
    return curves


def _run(corpus: "Corpus", name: str) -> tuple[str, str]:
    runs = corpus.sql("select run_id, config from runs where kind = 'train' order by started_at desc").fetchall()
    by_name: dict[str, tuple[str, str]] = {}
    for run_id, config in runs:
        by_name.setdefault(run_id, (run_id, config))
        by_name.setdefault(Path(orjson.loads(config).get("output", run_id)).name, (run_id, config))
    if name not in by_name:
        raise OneThinkerError(f"no training run '{name}'{near(name, by_name) or ' in this corpus'}")
    return by_name[name]


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _final_mean(curve: list[tuple[int, float]] | None) -> float | None:
    if not curve:
        return None
    tail = curve[-max(1, len(curve) // 10) :]
    return sum(value for _, value in tail) / len(tail)


def _named(name: str, prefix: str, suffix: str) -> bool:
    return name.startswith(prefix) and name.endswith(suffix) if suffix else name == prefix
