"""Tables for notebooks: what the `_repr_html_` methods return."""

from collections.abc import Iterable, Sequence
from html import escape


def html_table(title: str, columns: Iterable[str], rows: Iterable[Sequence[object]]) -> str:
    """An HTML table under a title; all text is escaped and integers have thousands separators."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f'<td style="text-align: right">{value:,}</td>'
    return f"<td>{escape(str(value))}</td>"
