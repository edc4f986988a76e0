"""Line plots as plain SVG: enough for curves in a page or a document, without a plotting library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, MARGIN, COLUMNS = 360, 200, 36, 3
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf")  # told apart by colour-blind people too

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """One plot: a title, and a named curve of (x, y) points for each line."""

    title: str
    curves: Mapping[str, Curve]


def panels(drawn: Sequence[Panel], columns: int = COLUMNS) -> str:
    """All panels in rows of `columns`, as one SVG document; lines of one name have one colour throughout."""
    names = list(dict.fromkeys(name for panel in drawn for name in panel.curves))
    colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    rows = -(-len(drawn) // columns)
    width, height = min(columns, max(len(drawn), 1)) * WIDTH, rows * HEIGHT + 24
    legend = "".join(
        f'<text x="{8 + 150 * i}" y="15" fill="{colour[name]}">— {escape(name)}</text>' for i, name in enumerate(names)
    )
    body = "".join(
        f'<g transform="translate({i % columns * WIDTH},{i // columns * HEIGHT + 24})">{_panel(panel, colour)}</g>'
        for i, panel in enumerate(drawn)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>{legend}{body}</svg>\n'
    )


def _panel(panel: Panel, colour: Mapping[str, str]) -> str:
    points = [point for curve in panel.curves.values() for point in curve]
    if not points:
        return f'<text x="{MARGIN}" y="14">{escape(panel.title)}: nothing measured</text>'
    (left, right), (low, high) = _span([x for x, _ in points]), _span([y for _, y in points])
    inner_width, inner_height = WIDTH - MARGIN - 12, HEIGHT - MARGIN - 18

    def place(x: float, y: float) -> str:
        across = MARGIN + (x - left) / (right - left) * inner_width
        return f"{across:.1f},{18 + (high - y) / (high - low) * inner_height:.1f}"

    lines = "".join(
        f'<polyline fill="none" stroke="{colour[name]}" stroke-width="1.4" '
        f'points="{" ".join(place(x, y) for x, y in curve)}"/>'
        for name, curve in panel.curves.items()
    )
    floor = 18 + inner_height
    return (
        f'<text x="{MARGIN}" y="12" font-weight="bold">{escape(panel.title)}</text>'
        f'<path d="M{MARGIN},18V{floor}H{WIDTH - 12}" fill="none" stroke="#888"/>'
        f'<text x="{MARGIN - 3}" y="24" text-anchor="end">{high:.3g}</text>'
        f'<text x="{MARGIN - 3}" y="{floor}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{MARGIN}" y="{floor + 13}">{left:g}</text>'
        f'<text x="{WIDTH - 12}" y="{floor + 13}" text-anchor="end">{right:g}</text>{lines}'
    )


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
