"""What every HTML page shares: rows from SQL, the templates of onethinker/templates, and a write that is atomic."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from corpus import Corpus


def fetch_rows(corpus: Corpus, query: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a query; of `params` only those that the query names, as `$name`, are bound."""
    used = {name: value for name, value in params.items() if f"${name}" in query}
    rows: list[dict[str, Any]] = corpus.sql(query, used).to_arrow_table().to_pylist()
    return rows


def write_page(path: Path, template: str, **values: Any) -> None:
    """Render a template into `path`, making its folder; readers see the old page or the whole new one."""
    html = _templates().get_template(template).render(**values)
    unfinished = path.with_name(f".{path.name}.unfinished")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        unfinished.write_text(html, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("onethinker"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: "" if value is None else f"{value:,}"
    environment.filters["share"] = lambda value: "" if value is None else f"{100 * value:.0f}%"
    environment.filters["short"] = lambda value, places=3: "" if value is None else f"{value:.{places}f}"
    environment.filters["signed"] = lambda value: "–" if value is None else f"{value:+.3f}"
    environment.filters["question"] = lambda text: text.replace("<image>", "").replace("<video>", "").strip()
    return environment
