"""The model card: written from the run, so that it says what was done and nothing else."""

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from trainers.run_log import FILE, Record

if TYPE_CHECKING:
    from corpus.lake import Lake

NAME = "README.md"


def write_card(corpus: "Lake", record: Record) -> Path:
    """Write `README.md` beside the model that a run left; returns its path."""
    told, run_id = record.told, record.run.run_id
    config = told["config"]
    head = {
        "base_model": config["model"]["name"],
        "library_name": "transformers",
        "pipeline_tag": "image-text-to-text",
        "tags": ["onethinker", told["method"]],
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
        f"# {record.output.name}",
        "",
        f"{_METHOD[told['method']]} of `{config['model']['name']}` on the snapshot `{told['snapshot']}` "
        f"({told['rows']:,} rows).",
        "",
        "| | |",
        "| --- | --- |",
        f"| run | `{run_id}` |",
        f"| snapshot | `{told['snapshot']}`, fingerprint `{told['fingerprint']}` |",
        f"| code | `{told['code_version']}` |",
        f"| seed | {config['seed']} |",
        f"| ranks | {told['ranks']} |",
        f"| packages | {', '.join(f'{name} {version}' for name, version in told['packages'].items())} |",
    ]
    if told["continues"]:
        lines.append(f"| continues | run `{told['continues']}`, from `{told['resumed_from']}` |")
    for reason, count in sorted(told.get("dropped", {}).items()):
        lines.append(f"| rows dropped on this rank | {count} `{reason}` |")
    lines += ["", "## Metrics", "", "| metric | first | last |", "| --- | --- | --- |"]
    lines += [f"| {name} | {first:.4g} | {last:.4g} |" for name, first, last, _ in first_and_last]
    lines += ["", "## Config", "", "```yaml", yaml.safe_dump(config, sort_keys=False).strip(), "```", ""]
    lines += [f"`{FILE}` beside this card holds the same for programs; the corpus holds every step's metrics.", ""]
    path = record.output / NAME
    path.write_text("\n".join(lines))
    return path


_METHOD = {"sft": "Supervised fine-tuning", "rl": "Reinforcement learning"}
