"""The traces that a selection still considers, as a table in a DuckDB of its own, and why the others left it."""

from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa

from corpus import Corpus
from corpus.errors import OneThinkerError, near

MEMORY_LIMIT = "1GB"  # beyond it DuckDB spills to its temporary folder

# Of the same form as in `filters.verify`: conditions over the sample's columns and those that tell its traces apart.
_SLICE = """
    select s.sample_id, t.trace_id from samples s left join (
        select sample_id, trace_id, teacher, mode, prompt_id, attempt, finish_reason, flag from traces
        where mode is distinct from 'judge') t using (sample_id)
    where {where}"""
_ROWS = """
    with slice as ({slice})
    select slice.sample_id, slice.trace_id,
           s.task, s.problem_type, s.data_type, s.source, s.split, s.licence,
           t.teacher, t.mode, t.prompt_id, t.attempt, t.finish_reason, t.flag, t.output_tokens,
           length(t.response) as characters, length(t.thinking) as thinking_characters,
           v.trace_id is not null as verified, v.format, v.structure, v.accuracy, v.reward
    from slice join samples s using (sample_id)
         left join traces t on t.trace_id = slice.trace_id
         left join (from latest_verdicts where profile = $profile) v on v.trace_id = slice.trace_id"""


class Candidates:
    """`candidates` holds one row for each trace still in; steps read it with `sql` and `drop` takes rows out of it.

    Its columns: sample_id, trace_id, task, problem_type, data_type, source, split, licence, teacher, mode, prompt_id,
    attempt, finish_reason, flag, output_tokens, characters and thinking_characters (of the response), format,
    structure, accuracy, reward, and `draw`, the row's place in an order that the seed and its trace_id alone decide.
    """

    def __init__(
        self, corpus: Corpus, *, profile: str, seed: int = 0, where: str | None = None, workers: int | None = None
    ) -> None:
        self.corpus = corpus
        self.profile = profile
        self.workers = workers
        self.counts: dict[str, dict[str, int]] = {}
        self._db = duckdb.connect(config={"memory_limit": MEMORY_LIMIT})
        rows = corpus.sql(_ROWS.format(slice=_SLICE.format(where=where or "true")), {"profile": profile})
        arrived = rows.to_arrow_reader(65_536)
        self._db.register("arrived", arrived)
        self._db.execute(
            """create table candidates as
               select *, sha256($seed || ' ' || coalesce(trace_id, sample_id)) as draw from arrived""",
            {"seed": str(seed)},
        )
        self._db.unregister("arrived")
        self._db.execute("create table drops (sample_id varchar, trace_id varchar, reason varchar, step varchar)")
        self._db.execute(
            """insert into drops select sample_id, null, 'no_trace', 'slice' from candidates where trace_id is null;
               delete from candidates where trace_id is null"""
        )
        unknown = "case when verified then 'unscored' else 'unverified' end"
        self.drop("slice", self.sql(f"select trace_id, {unknown} as reason from candidates where reward is null"))

    def sql(self, query: str, params: dict[str, Any] | None = None) -> duckdb.DuckDBPyRelation:
        """A relation over `candidates` and `drops`."""
        return self._db.sql(query, params=params)

    def drop(self, step: str, rows: duckdb.DuckDBPyRelation | pa.Table) -> int:
        """Take out the traces that `rows` (trace_id, reason) names, for that reason; returns how many those were."""
        self._db.register("going", rows.to_arrow_table() if isinstance(rows, duckdb.DuckDBPyRelation) else rows)
        self._db.execute(
            """insert into drops select c.sample_id, c.trace_id, g.reason, $step from candidates c
               join (select trace_id, min(reason) as reason from going group by 1) g using (trace_id)""",
            {"step": step},
        )
        self._db.execute("delete from candidates where trace_id in (select trace_id from going)")
        self._db.unregister("going")
        found = self._db.execute("select reason, count(*) from drops where step = $step group by 1", {"step": step})
        self.counts[step] = dict(found.fetchall())
        return sum(self.counts[step].values())

    def picks(self) -> pa.Table:
        """The survivors (sample_id, trace_id) in the seed's order."""
        return self.sql("select sample_id, trace_id from candidates order by draw").to_arrow_table()

    def dropped(self) -> pa.Table:
        """Every trace that left and every sample without one (sample_id, trace_id, reason), in the order of the ids."""
        query = "select sample_id, trace_id, reason from drops order by sample_id, trace_id"
        return self.sql(query).to_arrow_table()

    def columns(self) -> list[str]:
        """The names of the columns that a step may group by."""
        return [row[0] for row in self._db.execute("describe candidates").fetchall()]

    def require(self, columns: list[str], step: str) -> None:
        """Raise OneThinkerError, with near names, for a column that candidates do not have."""
        known = self.columns()
        for column in columns:
            if column not in known:
                raise OneThinkerError(f"step '{step}': candidates have no column '{column}'{near(column, known)}")

    def close(self) -> None:
        """Let go of the table."""
        self._db.close()

    def __enter__(self) -> "Candidates":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
