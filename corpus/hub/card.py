"""The dataset card, written from the published files alone: `card.md.jinja` filled by SQL."""

import html
import re
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from corpus.hub import provenance
from corpus.hub.layout import slug

HUB_TASKS = {
    "image QA": "visual-question-answering",
    "video QA": "video-text-to-text",
    "image captioning": "image-to-text",
    "video captioning": "video-text-to-text",
    "spatial grounding": "object-detection",
    "tracking": "object-detection",
    "image segmentation": "image-segmentation",
    "video segmentation": "image-segmentation",
}
# Licences by the Hub's names; a card names one only if all rows share it.
HUB_LICENCES = {
    "cc0-1.0", "cc-by-4.0", "cc-by-3.0", "cc-by-sa-4.0", "cc-by-sa-3.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0",
    "cc-by-nc-nd-4.0", "cc-by-nd-4.0", "mit", "apache-2.0", "bsd-3-clause", "odc-by", "odbl", "pddl",
}  # fmt: skip
MODES = {
    "blind": "the teacher saw the question and the media, and never the answer.",
    "hinted": "the teacher was shown the true answer and asked for reasoning that leads to it.",
    "release": "the trace came with its source's files; its prompt is not known here.",
}
SIZES = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]

# Control characters, and those that turn the direction of text.
_UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

QUERIES = {
    "composition": """
        select task, count(*) as "rows", count(distinct sample_id) as samples,
               count(*) filter (data_type = 'image') as on_images, count(*) filter (data_type <> 'image') as on_videos,
               count(distinct source) as sources, avg(reward) as reward, avg(accuracy) as accuracy,
               median(length(response)) as characters
        from rows group by 1 order by 1""",
    "sources": """
        select coalesce(source, 'unknown') as source, coalesce(licence, 'not stated') as licence, count(*) as "rows",
               list_sort(list(distinct task)) as tasks,
               list_sort(list(distinct coalesce(truth_origin, 'not stated'))) as truths
        from rows group by 1, 2 order by 1, 2""",
    "teachers": """
        select teacher, mode, count(*) as "rows", avg(reward) as reward, sum(input_tokens)::bigint as input_tokens,
               sum(output_tokens)::bigint as output_tokens, sum(cost_usd) as cost_usd, count(cost_usd) as priced
        from rows group by 1, 2 order by 3 desc, 1, 2""",
    "prompts": """
        select p.prompt_id, p.problem_type, p.mode, p.text, count(*) as "rows"
        from prompts p join rows r using (prompt_id) group by all order by problem_type, mode, prompt_id""",
    "drops": 'select reason, count(*) as "rows" from drops group by 1 order by 2 desc, 1',
    "rewards": """
        select problem_type, data_type, count(*) as "rows", min(reward) as least, quantile_cont(reward, 0.1) as tenth,
               median(reward) as middle, quantile_cont(reward, 0.9) as ninetieth, max(reward) as most
        from rows group by 1, 2 order by 1, 2""",
    "runs": """
        select s.run_id, s.kind, s.code_version, s.created_at as started_at, e.event as ended,
               coalesce(e.cost_usd, 0) as cost_usd
        from runs s left join runs e on e.run_id = s.run_id and e.event <> 'started'
        where s.event = 'started' order by s.created_at, s.run_id""",
    "media": """
        select coalesce(sum(len(list_filter(media_at, x -> x = 'embedded'))), 0)::bigint as embedded,
               coalesce(sum(len(list_filter(media_at, x -> x = 'withheld'))), 0)::bigint as withheld,
               coalesce(sum(len(list_filter(media_at, x -> x like 'media/%'))), 0)::bigint as beside from rows""",
    "withheld": """
        select distinct coalesce(licence, 'not stated') as licence from rows
        where list_contains(media_at, 'withheld') order by 1""",
    # Typical and short: people read it.
    "example": """
        select task, data_type, source, problem, coalesce(answer, truth) as answer, response, teacher, reward from rows
        where length(response) <= (select quantile_cont(length(response), 0.5) from rows)
        order by reward desc nulls last, length(response) desc, trace_id limit 1""",
    "splits": """select coalesce(split, 'train') as split, count(*) as "rows" from rows group by 1 order by 1""",
}


def query_facts(folder: Path, metadata: dict[str, Any]) -> dict[str, Any]:
    """What the card states about the publication in `folder`: the answers to QUERIES, costs and `metadata`."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        rows = connection.read_parquet(str(folder / "data" / "*" / "*" / "*.parquet"))
        connection.register("rows", rows.project("* exclude (images, videos, raw)"))
        for name in ("prompts", "runs", "drops"):
            connection.register(name, provenance.read(name, folder))
        answers = {name: connection.sql(query).to_arrow_table().to_pylist() for name, query in QUERIES.items()}
    found: dict[str, Any] = {**answers, "metadata": metadata}
    for name in ("media", "example"):
        found[name] = found[name][0]
    costs = [row["cost_usd"] for row in found["teachers"] if row["cost_usd"] is not None]
    found["cost_usd"] = sum(costs) if costs else None
    found["priced"] = sum(row["priced"] for row in found["teachers"])
    found["spent_usd"] = sum(row["cost_usd"] or 0 for row in found["runs"])
    found["dropped"] = sum(row["rows"] for row in found["drops"])
    return found


def list_configs(files: dict[str, dict[str, list[str]]]) -> list[dict[str, Any]]:
    """The card's `configs`: `default` with every row, and one for each task family."""
    splits = sorted({split for by_split in files.values() for split in by_split})
    every = [{"split": split, "path": f"data/*/{split}/*.parquet"} for split in splits]
    return [
        {"config_name": "default", "data_files": every},
        *(
            {
                "config_name": config,
                "data_files": [{"split": s, "path": f"data/{config}/{s}/*.parquet"} for s in sorted(files[config])],
            }
            for config in sorted(files)
        ),
    ]


def render_card(folder: Path, metadata: dict[str, Any], files: dict[str, dict[str, list[str]]], repo: str) -> str:
    """The text of README.md for the publication in `folder`."""
    found = query_facts(folder, metadata)
    licences = {row["licence"].lower() for row in found["sources"]}
    licence = licences.pop() if len(licences) == 1 else "other"
    if licence not in HUB_LICENCES:
        licence = "unknown" if licence == "not stated" else "other"
    front = {
        "pretty_name": f"{metadata['name']} v{metadata['version']}",
        "license": licence,
        "task_categories": sorted({HUB_TASKS[t] for t in metadata["counts"] if t in HUB_TASKS}) or ["other"],
        "size_categories": [next((word for n, word in SIZES if metadata["rows"] < n), "1M<n<10M")],
        "tags": ["chain-of-thought", "multimodal", "reasoning", "verified", "onethinker"],
        "configs": list_configs(files),
    }
    text = _environment().get_template("card.md.jinja").render(
        front=yaml.safe_dump(front, sort_keys=False, allow_unicode=True).strip(),
        repo=repo,
        configs=sorted(files),
        first=sorted(files)[0],
        recipe=(folder / "recipe.yaml").read_text().strip(),
        slug=slug,
        modes=MODES,
        **found,
    )  # fmt: skip
    return text.rstrip() + "\n"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("corpus.hub", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown: text of the data goes through `cell`, `code` or `fenced`
    )
    environment.filters["number"] = lambda value: "–" if value is None else f"{value:,.0f}"
    environment.filters["short"] = lambda value: "–" if value is None else f"{value:.3f}"
    environment.filters["usd"] = lambda value: "–" if value is None else f"${float(value):,.4f}"
    environment.filters["share"] = lambda value, of: f"{100 * value / of:.0f}%" if of else "–"
    environment.filters |= {"cell": escape_text, "code": quote_code, "fenced": fence}
    return environment


def escape_text(value: Any) -> str:
    """Text of the data as one line of Markdown that shows it and nothing else: no HTML, link, image or table cell."""
    plain = html.escape(_one_line(value), quote=False)
    return re.sub(r"[\\`*\[\]|~]", lambda found: f"&#{ord(found[0])};", plain)


def quote_code(value: Any) -> str:
    """Text of the data as inline code, in more backticks than it holds in a row."""
    line = _one_line(value)
    ticks = "`" * (1 + _longest_run(line))
    space = " " if "`" in line else ""
    return f"{ticks}{space}{line.replace('|', chr(92) + '|')}{space}{ticks}"


def fence(value: Any, language: str) -> str:
    """Text of the data as a code block, whose fence is longer than any run of backticks in it."""
    text = _UNSHOWN.sub("", str(value))
    ticks = "`" * max(3, 1 + _longest_run(text))
    return f"{ticks}{language}\n{text}\n{ticks}"


def _one_line(value: Any) -> str:
    return " ".join(_UNSHOWN.sub("", str(value)).split()) or "–"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
