"""A table that fits its terminal: text is cut with …, headers fold at underscores, numbers and times stay whole."""

import re
from collections.abc import Sequence

import pyarrow as pa
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

MIN_TEXT_WIDTH = 8  # columns of the terminal that a text cell keeps, if it has so many
_WHOLE = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_temporal,
    pa.types.is_boolean,
)
_NUMBERS = _WHOLE[:3]
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def draw_table(
    schema: pa.Schema, cells: Sequence[Sequence[str]], title: str | None, *, max_width: int | None
) -> Table | None:
    """The table, at most `max_width` wide (None: as wide as it gets); None if no cut of its text makes it fit."""
    texts = [[printable(cell) for cell in row] for row in cells]
    widths: list[int] | None = None
    if max_width is not None:
        natural = [
            max([cell_len(field.name), *(_longest_line(row[place]) for row in texts)])
            for place, field in enumerate(schema)
        ]
        room = max_width - 3 * len(natural) - 1  # padding and rules
        if sum(natural) > room:
            texts = [[" ".join(cell.split()) for cell in row] for row in texts]
            widths = _fit(schema, texts, room)
            if widths is None:
                return None
    table = Table(title=title, title_justify="left")
    for place, field in enumerate(schema):
        right = any(is_number(field.type) for is_number in _NUMBERS)
        name = field.name if widths is None else _fold(field.name, widths[place])
        table.add_column(
            Text(name, no_wrap=True),
            justify="right" if right else "left",
            overflow="fold" if widths is None else "ellipsis",
            no_wrap=widths is not None,
            width=None if widths is None else widths[place],
        )
    for row in texts:
        table.add_row(*map(Text, row))
    return table


def printable(text: str) -> str:
    """The text with � for each control character but tab and newline, which a terminal would obey."""
    return _CONTROLS.sub("�", text)


def _fit(schema: pa.Schema, texts: list[list[str]], room: int) -> list[int] | None:
    """Widths that come to at most `room`: the widest text column is cut first. None if that is impossible."""
    widths, least = [], []
    for place, field in enumerate(schema):
        header = max(map(cell_len, _parts(field.name)))
        cell = max((cell_len(row[place]) for row in texts), default=0)
        is_whole = any(holds(field.type) for holds in _WHOLE)
        widths.append(max(header, cell))
        least.append(max(header, cell if is_whole else min(cell, MIN_TEXT_WIDTH)))
    if sum(least) > room:
        return None
    while sum(widths) > room:
        widest = max((p for p in range(len(widths)) if widths[p] > least[p]), key=lambda p: widths[p])
        widths[widest] -= 1
    return widths


def _fold(name: str, width: int) -> str:
    """`mean_accuracy` on as many lines as it takes, broken after underscores and at spaces."""
    lines = [""]
    for part in _parts(name):
        if lines[-1] and cell_len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _parts(name: str) -> list[str]:
    return re.findall(r"[^_ ]*[_ ]+|[^_ ]+", name) or [name]


def _longest_line(text: str) -> int:
    return max(map(cell_len, text.split("\n")))
