"""The model card, generated from the run's manifest and metrics."""

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from trainers.run_log import FILE, RunLog

if TYPE_CHECKING:
    from corpus.lake import Lake

NAME = "README.md"


def write_card(corpus: "Lake", log: RunLog) -> Path:
    """Write `README.md` beside the model of a run; returns its path."""
    manifest, run_id = log.manifest, log.run.run_id
    config = manifest["config"]
    head = {
        "base_model": config["model"]["name"],
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "tags": ["onethinker", manifest["method"]],
    }
    first_and_last = corpus.sql(
        """select name, first(value order by step) as first, last(value order by step) as last, max(step) as steps
           from metrics where run_id = ? and (name in ('loss', 'reward', 'entropy', 'kl', 'mean_token_accuracy')
               or name like 'task/%/reward_mean') and value is not null group by name order by name""",
        [run_id],
    ).fetchall()
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=True).strip(),
        "---",
        "",
        f"# {log.output.name}",
        "",
        f"{_METHOD[manifest['method']]} of `{config['model']['name']}` on the snapshot `{manifest['snapshot']}` "
        f"({manifest['rows']:,} rows).",
        "",
        "| | |",
        "| --- | --- |",
        f"| run | `{run_id}` |",
        f"| snapshot | `{manifest['snapshot']}`, fingerprint `{manifest['fingerprint']}` |",
        f"| code | `{manifest['code_version']}` |",
        f"| seed | {config['seed']} |",
        f"| ranks | {manifest['ranks']} |",
        f"| packages | {', '.join(f'{name} {version}' for name, version in manifest['packages'].items())} |",
    ]
    if manifest["continues"]:
        lines.append(f"| continues | run `{manifest['continues']}`, from `{manifest['resumed_from']}` |")
    for reason, count in sorted(manifest.get("dropped", {}).items()):
        lines.append(f"| rows dropped on this rank | {count} `{reason}` |")
    lines += ["", "## Metrics", "", "| metric | first | last |", "| --- | --- | --- |"]
    lines += [f"| {name} | {first:.4g} | {last:.4g} |" for name, first, last, _ in first_and_last]
    lines += ["", "## Config", "", "```yaml", yaml.safe_dump(config, sort_keys=False).strip(), "```", ""]
    lines += [f"`{FILE}` beside this card holds the same for programs; the corpus holds every step's metrics.", ""]
    path = log.output / NAME
    path.write_text("\n".join(lines))
    return path


_METHOD = {"sft": "Supervised fine-tuning", "rl": "Reinforcement learning"}
