"""The example of docs/sources.md is a reader that works."""

import re
from pathlib import Path

from PIL import Image

from corpus import Corpus, discovery, sources
from corpus.ingest import ingest

DOC = Path(__file__).resolve().parents[2] / "docs" / "sources.md"


def test_the_documented_reader_is_one_file_and_works(tmp_path, monkeypatch):
    [code] = re.findall(r"```python\n(.*?)```", DOC.read_text(), re.DOTALL)
    (tmp_path / "plugin").mkdir()
    (tmp_path / "plugin" / "tab_lines.py").write_text(code)
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path / "plugin")])
    discovery.modules.cache_clear()
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "x.tsv").write_text("a.png\tWhat is it?\tA black square\nbroken line\n")
    try:
        with Corpus.create(tmp_path / "corpus") as corpus:
            counts = ingest(corpus, "tab_lines", [tmp_path / "x.tsv"])
            assert (counts["samples"], counts["rejects: malformed"]) == (1, 1)
            query = "select problem, answer, licence, truth_origin, origin.file from samples"
            assert corpus.sql(query).fetchall() == [
                ("<image>What is it?", "A black square", "CC BY 4.0", "human", "x.tsv")
            ]
            assert corpus.sql("select raw, detail from rejects").fetchall() == [
                ("broken line\n", "1 fields instead of 3")
            ]
    finally:
        discovery.modules.cache_clear()
