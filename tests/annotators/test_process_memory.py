"""What a run does to take little memory, and that nothing of it stays."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa

from annotators.process_memory import give_back, sparing
from corpus import Corpus


def test_a_package_that_is_not_wanted_is_not_imported_and_can_be_afterwards() -> None:
    """In a process of its own: this one may have pandas already, and DuckDB and Arrow remember what they found."""
    script = """
import sys, tempfile
from annotators.process_memory import without
from corpus import Corpus
with tempfile.TemporaryDirectory() as folder:
    with without("pandas"):
        corpus = Corpus.create(folder + "/corpus")
        assert corpus.append("prompts", [{"prompt_id": "a", "text": "A"}]) == 1
        assert corpus.sql("select text from prompts where prompt_id = ?", ["a"]).fetchall() == [("A",)]
        assert "pandas" not in sys.modules
    table = corpus.sql("from prompts")
    assert list(table.df()["text"]) == ["A"]
    assert list(table.to_arrow_table().to_pandas()["text"]) == ["A"]
    import pandas, pyarrow
    assert pyarrow.array(pandas.Series([1.0, None])).null_count == 1
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_settings_are_as_before_when_the_run_is_over(tmp_path: Path) -> None:
    def settings(corpus: Corpus) -> list[tuple[str, ...]]:
        names = "'threads', 'enable_external_file_cache', 'allocator_background_threads'"
        return corpus.sql(f"select name, value from duckdb_settings() where name in ({names}) order by 1").fetchall()

    pool = pa.default_memory_pool().backend_name
    with Corpus.create(tmp_path / "corpus") as corpus:
        before = settings(corpus)
        with sparing(corpus):
            assert dict(settings(corpus))["threads"] == "1"
            give_back()
        assert settings(corpus) == before
    assert pa.default_memory_pool().backend_name == pool
