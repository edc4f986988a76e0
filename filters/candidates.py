"""The traces that a selection still considers, as tables in a temporary DuckDB, and why the others were dropped."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa

from corpus import Corpus
from corpus.errors import OneThinkerError, near
from corpus.sql_gate import condition
from filters.pool import get_pool
from filters.score import PRELOAD
from filters.scratch_db import open_scratch_db, stream

POOL_FROM_ROWS = 5_000  # for fewer, starting processes takes longer than the work

# The same columns as in `filters.verify`: the sample's, and those that distinguish its traces.
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
           contains(t.response, '</answer>') as closed,
           v.trace_id is not null as verified, v.format, v.structure, v.accuracy, v.reward
    from slice join samples s using (sample_id)
         left join traces t on t.trace_id = slice.trace_id
         left join (from latest_verdicts where profile = $profile) v on v.trace_id = slice.trace_id"""


class Candidates:
    """`candidates` holds the traces that remain, `considered` all of the slice; steps read them with `sql`.

    Their columns: sample_id, trace_id, task, problem_type, data_type, source, split, licence, teacher, mode, prompt_id,
    attempt, finish_reason, flag, output_tokens, characters and thinking_characters (of the response), closed (whether
    it has an `</answer>`), format, structure, accuracy, reward, and `draw`, which orders
    the rows by the seed and trace_id alone.
    """

    def __init__(
        self, corpus: Corpus, *, profile: str, seed: int = 0, where: str | None = None, workers: int | None = None
    ) -> None:
        self.corpus = corpus
        self.profile = profile
        self.seed = seed
        self.workers = workers
        self.counts: dict[str, dict[str, int]] = {}
        self._open = ExitStack()
        self._db = self._open.enter_context(open_scratch_db())
        rows = corpus.sql(
            _ROWS.format(slice=_SLICE.format(where=condition(where or "true", what="where"))), {"profile": profile}
        )
        arrived = rows.to_arrow_reader(65_536)
        self._db.register("arrived", arrived)
        self._db.execute(
            """create table slice as
               select *, sha256($seed || ' ' || coalesce(trace_id, sample_id)) as draw from arrived""",
            {"seed": str(seed)},
        )
        self._db.unregister("arrived")
        self._db.execute(
            """create table drops (sample_id varchar, trace_id varchar, reason varchar, step varchar);
               insert into drops select sample_id, null, 'no_trace', 'slice' from slice where trace_id is null;
               create view considered as select * from slice where trace_id is not null;
               create view candidates as
                 select * from considered c where not exists (select 1 from drops d where d.trace_id = c.trace_id);
               create view ids as select trace_id, sample_id from candidates"""
        )
        unknown = "case when verified then 'unscored' else 'unverified' end"
        self.drop("slice", self.sql(f"select trace_id, {unknown} as reason from candidates where reward is null"))

    def sql(self, query: str, params: dict[str, Any] | None = None) -> duckdb.DuckDBPyRelation:
        """A relation over `candidates`, `considered` and `drops`."""
        return self._db.sql(query, params=params)

    def drop(self, step: str, rows: duckdb.DuckDBPyRelation | pa.Table) -> int:
        """Drop the traces that `rows` (trace_id, reason) names; returns how many were dropped."""
        self._db.register("going", rows.to_arrow_table() if isinstance(rows, duckdb.DuckDBPyRelation) else rows)
        self._db.execute(
            """insert into drops select c.sample_id, c.trace_id, g.reason, $step from candidates c
               join (select trace_id, min(reason) as reason from going group by 1) g using (trace_id)""",
            {"step": step},
        )
        self._db.unregister("going")
        found = self._db.execute("select reason, count(*) from drops where step = $step group by 1", {"step": step})
        self.counts[step] = dict(found.fetchall())
        return sum(self.counts[step].values())

    def check_texts(
        self,
        check: Callable[[pa.Table], pa.Table],
        traces: str,
        samples: str = "",
        only: str = "true",
        by: str | None = None,
        prepare: Callable[[Any], None] | None = None,
    ) -> pa.Table:
        """Run `check` over the texts of the remaining traces: (trace_id, reason) of those it gives a reason for.

        `check` takes tables with the named columns of traces and samples (see `filters.scratch_db.stream`) and returns
        one row with a `reason`, or null, for each; over many rows it runs in the process pool and must be importable.
        A response that takes too long is dropped as `timeout`, or with another reason of the pool. `by` and `prepare`
        are those of `Pool.map`.
        """
        ids: list[pa.Table] = []

        def tables() -> Iterator[pa.Table]:
            for table in stream(self._db, self.corpus, "ids", traces, samples, only):
                ids.append(table.select(["trace_id"]))
                yield table

        (count,) = self.sql("select count(*) from candidates").fetchall()[0]
        if count < POOL_FROM_ROWS:
            found = [check(table) for table in tables()]
        else:
            pool = get_pool(self.workers, preload=PRELOAD)
            found = list(pool.map(check, tables(), lambda reason: {"reason": reason}, by, prepare, rate=5_000.0))
        if not found:
            return pa.table({"trace_id": pa.array([], pa.string()), "reason": pa.array([], pa.string())})
        reasons = pa.concat_tables(found)["reason"].cast(pa.string())
        rows = pa.concat_tables(ids).append_column("reason", reasons)
        return rows.filter(rows["reason"].is_valid())

    def samples(self, columns: str) -> pa.Table:
        """sample_id and `columns`, a select list, of the samples that still have traces, in the seed's order."""
        ids = self.sql("select distinct sample_id from candidates").to_arrow_table()
        rows = self.corpus.rows_by_id("samples", ids, f"sample_id, {columns}")
        with self._db.cursor() as cursor:
            cursor.register("rows", rows)
            return cursor.sql(
                """select r.* from rows r join (select sample_id, min(draw) as first from candidates group by 1)
                   using (sample_id) order by first"""
            ).to_arrow_table()

    def load(self, table: str, query: str, params: dict[str, Any]) -> None:
        """Copy the rows of a query over the corpus into a table for steps to join with."""
        self._db.register("arrived", self.corpus.sql(query, params).to_arrow_reader(65_536))
        self._db.execute(f"create or replace table {table} as select * from arrived")
        self._db.unregister("arrived")

    def traces_of(self, samples: pa.Table, is_dropped: list[bool], reason: str) -> pa.Table:
        """(trace_id, reason) for the remaining traces of the `samples` that `is_dropped` marks."""
        self._db.register("leaving", samples.select(["sample_id"]).filter(pa.array(is_dropped, pa.bool_())))
        found = self.sql(
            "select trace_id, $reason as reason from candidates semi join leaving using (sample_id)", {"reason": reason}
        ).to_arrow_table()
        self._db.unregister("leaving")
        return found

    def picks(self) -> pa.Table:
        """The survivors (sample_id, trace_id) in the seed's order."""
        return self.sql("select sample_id, trace_id from candidates order by draw").to_arrow_table()

    def drop_rows(self) -> pa.Table:
        """Every dropped trace and every sample without one (sample_id, trace_id, reason), ordered by id."""
        query = "select sample_id, trace_id, reason from drops order by sample_id, trace_id"
        return self.sql(query).to_arrow_table()

    def require(self, columns: list[str], step: str) -> None:
        """Raises OneThinkerError with near names if candidates lack one of `columns`."""
        known = self.sql("select * from candidates limit 0").columns
        for column in columns:
            if column not in known:
                raise OneThinkerError(f"step '{step}': candidates have no column '{column}'{near(column, known)}")

    def close(self) -> None:
        """Close the temporary database."""
        self._open.close()

    def __enter__(self) -> "Candidates":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
