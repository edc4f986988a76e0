"""The demo: every step of the main job on a small world of our own, with the functions that the commands call.

The first teacher answers everything; a stronger one is asked again about the samples that nobody got right: the
re-annotation of a slice, which is one SQL condition.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from time import perf_counter

from annotators import annotate
from corpus import Corpus
from corpus.accuracy import PASS_ACCURACY
from corpus.ingest import ingest
from corpus.location import CORPUS_FILE
from filters import select, verify
from onethinker.demo.world import write_world
from onethinker.output import show

NAME = "demo"
FIRST, STRONGER = "local:pixels-mini", "local:pixels-1"
_SOLVED = f"select sample_id from scored_traces where profile = 'strict' and accuracy >= {PASS_ACCURACY}"
UNSOLVED = f"sample_id not in ({_SOLVED})"
QUERIES = {
    "What each task got": """
        select task, count(*) as traces, round(avg(accuracy), 3) as mean_accuracy, round(avg(reward), 3) as mean_reward
        from scored_traces where profile = 'strict' group by 1 order by 1""",
    "Which teacher is worth what": f"""
        select teacher, count(*) as traces, round(avg((accuracy >= {PASS_ACCURACY})::int), 3) as passed,
               sum(input_tokens)::bigint as input_tokens, sum(output_tokens)::bigint as output_tokens
        from scored_traces where profile = 'strict' group by 1 order by 1""",
    "Why traces were dropped": """
        select reason, count(*) as traces from snapshot_drops group by 1 order by 2 desc, 1""",
    "What ran": """
        select kind, status, counts, cost_usd, round(epoch(finished_at - started_at), 1) as seconds
        from runs order by started_at""",
}


def run_demo(out: Path, *, teacher: str | None = None, seed: int = 0, per_family: int = 8, train: bool = False) -> None:
    """Do the whole job in the folder `out`, print what happened, and write `out/index.html`.

    Without `teacher` the local one is served on loopback for the time of the run. What an earlier run finished is
    not done again. With `train`, a tiny model learns from the snapshot, and the page shows its curves. Raises what the
    steps raise.
    """
    from onethinker.demo import page

    seconds: dict[str, float] = {}
    root = out / "corpus"
    with _timed(seconds, "draw"):
        questions = write_world(out / "world", seed=seed, per_family=per_family)
    with Corpus.open(root) if (root / CORPUS_FILE).exists() else Corpus.create(root) as corpus:
        with _timed(seconds, "ingest"):
            files = [questions, questions.with_name("world_eval.json")]
            ingest(corpus, "onethinker", files, media_root=questions.parent)
        slice_ = "split = 'train'"
        with nullcontext() if teacher else _local_teacher(seed):
            for asked, where in [(teacher or FIRST, slice_), (teacher or STRONGER, f"{slice_} and {UNSOLVED}")]:
                with _timed(seconds, "annotate"):
                    annotate(corpus, teacher=asked, where=where)
                with _timed(seconds, "verify"):
                    verify(corpus, where=slice_)
                if teacher:
                    break
        with _timed(seconds, "select"):
            snapshot = select(corpus, NAME, NAME).snapshot
        for title, query in QUERIES.items():
            show(corpus.sql(query).to_arrow_table(), title=title)
        curves = ""
        if train:
            from trainers.experiment.demo import train as teach_tiny

            with _timed(seconds, "train"):
                trained = teach_tiny(corpus, snapshot, out / "model", seed=seed)
            curves = "".join(f"<p>{sentence}</p>" for sentence in trained.summary) + trained.curves
            print("", *trained.summary, f"trained in {seconds['train']:.0f} s", sep="\n")
        with _timed(seconds, "draw the page"):
            page.write(corpus, snapshot, out / "index.html", seconds=dict(seconds), curves=curves)
    print(
        f"\n{snapshot.ref}: {snapshot.rows} rows over {len(snapshot.counts)} task families, frozen in {snapshot.folder}"
    )
    print(f"corpus: {root}   (try: onethinker stats --corpus {root})")
    print(f"page:   {(out / 'index.html').absolute().as_uri()}")


@contextmanager
def _local_teacher(seed: int) -> Iterator[None]:
    from annotators.providers.local import URL
    from onethinker.demo.teacher import serve

    before = os.environ.get(URL)
    with serve(seed=seed) as server:
        os.environ[URL] = server.openai_base_url
        try:
            yield
        finally:
            if before is None:
                del os.environ[URL]
            else:
                os.environ[URL] = before


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    started = perf_counter()
    try:
        yield
    finally:
        seconds[step] = seconds.get(step, 0.0) + perf_counter() - started
