"""Line and bar plots as plain SVG, without a plotting library."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, MARGIN, COLUMNS = 360, 200, 36, 3
LABELS = 16  # extra pixels below a bar plot, for the names of its groups
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#7f7f7f", "#bcbd22")

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """One plot: a title, and a named curve of (x, y) points for each line.

    With `groups` the points are bars: x is the index of the group, y the height.
    """

    title: str
    curves: Mapping[str, Curve]
    groups: Sequence[str] = ()

    @property
    def height(self) -> int:
        """Pixels from top to bottom, labels included."""
        return HEIGHT + (LABELS if self.groups else 0)


def bar_panel(title: str, values: Mapping[str, Mapping[str, float]]) -> Panel:
    """A bar plot: for each name (a colour), a value per group."""
    groups = list(dict.fromkeys(group for of_name in values.values() for group in of_name))
    points = {name: [(groups.index(group), value) for group, value in v.items()] for name, v in values.items()}
    return Panel(title, points, groups)


def render_panels(plots: Sequence[Panel], columns: int = COLUMNS, width: int = WIDTH) -> str:
    """Render panels in rows of `columns` as one SVG document; lines of one name share a colour.

    `width` is that of a panel, in pixels.
    """
    names = list(dict.fromkeys(name for panel in plots for name in panel.curves))
    colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    rows = [plots[i : i + columns] for i in range(0, len(plots), columns)]
    tops = [24]
    for row in rows:
        tops.append(tops[-1] + max(panel.height for panel in row))
    whole = min(columns, max(len(plots), 1)) * width
    body = "".join(
        f'<g transform="translate({across * width},{top})">{_panel(panel, colour, width)}</g>'
        for row, top in zip(rows, tops, strict=False)
        for across, panel in enumerate(row)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {tops[-1]}" width="{whole}" '
        f'height="{tops[-1]}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>{_legend(names, colour)}{body}</svg>\n'
    )


def _legend(names: Sequence[str], colour: Mapping[str, str]) -> str:
    across, labels = 8, ""
    for name in names:
        labels += f'<text x="{across}" y="15" fill="{colour[name]}">— {escape(name)}</text>'
        across += 34 + 6 * len(name)
    return labels


def _panel(panel: Panel, colour: Mapping[str, str], width: int) -> str:
    points = [point for curve in panel.curves.values() for point in curve]
    if not points:
        return f'<text x="{MARGIN}" y="14">{escape(panel.title)}: nothing measured</text>'
    low, high = _span([y for _, y in points] + ([0.0] if panel.groups else []))
    left, right = (-0.5, len(panel.groups) - 0.5) if panel.groups else _span([x for x, _ in points])
    inner_width, inner_height = width - MARGIN - 12, HEIGHT - MARGIN - 18

    def across(x: float) -> float:
        return MARGIN + (x - left) / (right - left) * inner_width

    def down(y: float) -> float:
        return 18 + (high - y) / (high - low) * inner_height

    marks = ""
    for place, (name, curve) in enumerate(panel.curves.items()):
        if panel.groups:
            wide = 0.8 / len(panel.curves)
            for group, value in curve:
                x, top, bottom = across(group - 0.4 + place * wide), down(max(value, 0.0)), down(min(value, 0.0))
                marks += (
                    f'<rect x="{x:.1f}" y="{top:.1f}" width="{inner_width / (right - left) * wide * 0.9:.1f}" '
                    f'height="{bottom - top:.1f}" fill="{colour[name]}"/>'
                )
        else:
            line = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in curve)
            marks += f'<polyline fill="none" stroke="{colour[name]}" stroke-width="1.4" points="{line}"/>'
    floor = 18 + inner_height
    return (
        f'<text x="{MARGIN}" y="12" font-weight="bold">{escape(panel.title)}</text>'
        f'<path d="M{MARGIN},18V{floor}H{width - 12}" fill="none" stroke="#888"/>'
        f'<text x="{MARGIN - 3}" y="24" text-anchor="end">{high:.3g}</text>'
        f'<text x="{MARGIN - 3}" y="{floor}" text-anchor="end">{low:.3g}</text>'
        f"{_ends(left, right, floor, width) if not panel.groups else _names(panel.groups, across, floor)}{marks}"
    )


def _ends(left: float, right: float, floor: int, width: int) -> str:
    return (
        f'<text x="{MARGIN}" y="{floor + 13}">{left:g}</text>'
        f'<text x="{width - 12}" y="{floor + 13}" text-anchor="end">{right:g}</text>'
    )


def _names(groups: Sequence[str], across: Callable[[float], float], floor: int) -> str:
    labels = ""
    for i, group in enumerate(groups):
        place = f"translate({across(i) - 24:.1f},{floor + 12}) rotate(12)"
        labels += f'<text transform="{place}" font-size="9">{escape(group)}</text>'
    return labels


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
