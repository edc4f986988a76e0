"""What the pages hold and how they are styled: nothing wider than a narrow screen, contents, filter, short tables."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

import onethinker
from corpus import Corpus
from corpus.canvas import COLOURS, Canvas
from filters import verify
from onethinker.report_page import ROWS_AT_MOST, write

TEMPLATES = Path(onethinker.__file__).parent / "templates"
NARROW_PX = 360 - 2 * 24  # a phone's width without the page's padding
SOURCES = 15


class Page(HTMLParser):
    """The elements of a page as (tag, attributes, ancestors' tags and classes), and its text by tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.text: dict[str, str] = {}
        self._open: list[tuple[str, str]] = []
        self.feed(html)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes, [word for pair in self._open for word in " ".join(pair).split()]))
        if tag not in ("meta", "img", "input", "br"):
            self._open.append((tag, attributes.get("class") or ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), [word for pair in self._open for word in " ".join(pair).split()]))

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self._open.pop()
        assert opened == tag

    def handle_data(self, data: str) -> None:
        tag = self._open[-1][0] if self._open else ""
        self.text[tag] = self.text.get(tag, "") + data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes, _ in self.elements if name == tag]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("pages")
    corpus = Corpus.create(folder / "corpus")
    sample = {"task": "image QA", "problem_type": "numerical", "data_type": "image", "media": []}
    samples, traces = [], []
    for n in range(SOURCES):
        samples.append(sample | {"sample_id": f"s{n}", "problem": "How many?", "answer": "4", "source": f"from-{n:02}"})
        given = "4" if n % 2 else "5"
        traces.append({"trace_id": f"t{n}", "sample_id": f"s{n}", "teacher": "local:eye", "answer": given}
            | {"response": f"<think>x</think><answer>{given}</answer>"})  # fmt: skip
    corpus.append("samples", samples)
    corpus.append("traces", traces)
    verify(corpus)
    return write(corpus, folder / "report.html").path.read_text()


def rules(css: str) -> list[tuple[str, dict[str, str]]]:
    bare = re.sub(r"/\*.*?\*/", "", css, flags=re.S)
    return [
        (selector.strip(), {k.strip(): v.strip() for k, _, v in (d.partition(":") for d in body.split(";")) if v})
        for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", bare)
    ]


def declared(css: str, selector: str, name: str) -> str:
    return next(body[name] for found, body in rules(css) if found == selector and name in body)


@pytest.mark.parametrize("template", ["style.css", "diff.html", "report.html", "demo.html"])
def test_no_grid_column_is_wider_than_a_narrow_screen(template: str) -> None:
    css = (TEMPLATES / template).read_text()
    css = css if template == "style.css" else css[css.index("<style>") + 7 : css.index("</style>")]
    for selector, body in rules(css.replace('{% include "style.css" %}', "")):
        for least in re.findall(r"minmax\((?!min\()\s*(\d+)px", body.get("grid-template-columns", "")):
            assert int(least) <= NARROW_PX / 2, selector
        for capped in re.findall(r"minmax\(min\(([^)]*)\)", body.get("grid-template-columns", "")):
            assert "100%" in capped, selector


def test_the_grids_and_code_of_every_page_fit() -> None:
    css = (TEMPLATES / "style.css").read_text()
    assert "minmax(min(340px, 100%), 1fr)" in declared(css, ".two", "grid-template-columns")
    assert "minmax(min(500px, 100%), 1fr)" in declared(css, ".cards", "grid-template-columns")
    assert declared(css, ".bar", "grid-template-columns").startswith("minmax(0, 190px)")
    assert declared(css, "code", "overflow-wrap") == "anywhere"
    assert declared(css, ".scroll", "overflow-x") == "auto"
    assert "minmax(min(340px, 100%), 1fr)" in declared(
        (TEMPLATES / "diff.html").read_text(), ".traces", "grid-template-columns"
    )


@pytest.mark.parametrize("template", ["demo.html", "diff.html", "report.html"])
def test_every_table_scrolls_in_a_container_of_its_own(template: str) -> None:
    tables = [path for tag, _, path in Page((TEMPLATES / template).read_text()).elements if tag == "table"]
    assert tables
    assert all("scroll" in path for path in tables)


def test_the_contents_lead_to_every_heading(report: str) -> None:
    page = Page(report)
    anchors = [str(a["href"]) for a in page.named("a")]
    headings = [h["id"] for h in page.named("h2")]
    assert anchors == [f"#{heading}" for heading in headings]
    assert len(set(headings)) == len(headings) >= 7
    assert report.index("<nav") < report.index("<h2")


def test_the_filter_needs_no_network_and_finds_what_it_filters(report: str) -> None:
    page = Page(report)
    script = page.text["script"]
    assert page.named("script") == [{}]
    assert [one["id"] for one in page.named("input")] == ["filter"]
    assert 'getElementById("filter")' in script
    assert not re.search(r"fetch|XMLHttp|import|https?:|//|src|eval|innerHTML", script)
    assert {"row", "bar"} <= {word for _, found, _ in page.elements for word in (found.get("class") or "").split()}


def test_the_cards_are_folded_away(report: str) -> None:
    cards = [path for tag, _, path in Page(report).elements if tag == "article"]
    assert len(cards) == 2
    assert all("details" in path for path in cards)
    assert all("open" not in found for found in Page(report).named("details"))


def test_a_table_has_twelve_rows_and_the_number_of_the_others(report: str) -> None:
    table = report[report.index('id="by-source"') : report.index('id="by-teacher"')]
    assert ROWS_AT_MOST == table.count('<tr class="row">') == 12
    assert f"and {SOURCES - 12} more with fewer traces" in table
    assert "more with" not in report[report.index('id="by-teacher"') :], "a short table has no others"


@pytest.mark.parametrize(("size", "font_px"), [((230, 130), 14), ((460, 300), 19), ((100, 400), 14), ((1200, 300), 50)])
@pytest.mark.parametrize("text", ["W" * 500, "two words", "\u4e00" * 60, '{"boxes": [[1, 2, 3, 4]]} ' * 9])
def test_labels_are_large_enough_and_end_inside_the_picture(size: tuple[int, int], font_px: int, text: str) -> None:
    canvas = Canvas(Image.new("RGB", size))
    font: Any = canvas._font
    assert font.size == font_px
    plain = canvas.image.copy()
    canvas.label(text)
    changed = ImageChops.difference(plain, canvas.image).getbbox()
    assert changed is not None
    assert changed[2] <= size[0] - 1
    assert changed[3] - changed[1] >= font_px / 2


def test_a_label_that_is_cut_says_so() -> None:
    canvas = Canvas(Image.new("RGB", (200, 100)))
    whole, cut = canvas._cut("short", 188), canvas._cut("no end " * 40, 188)
    assert whole == "short"
    assert cut.endswith("…")
    assert canvas._font.getlength(cut) <= 188 < canvas._font.getlength(cut[:-1] + "no end")
    assert canvas._cut("anything", 1) == "…"
    assert COLOURS[canvas.ink] == canvas.colour
