"""What an annotation run holds in memory, and what of it is ours: step by step, then at its peak over many requests.

    python -m benchmarks.annotate_memory [--requests 2000 50000]

First one process imports what a run needs, one thing after another, and says how much each adds. Then whole runs, each
in a fresh process against the provider of `benchmarks.annotate`: `floor` is the SDK with no line of ours, `engine` a
run as the command does it with `--no-verify`, `verified` one whose traces are verified as they arrive (the CPU of its
workers is not in it). Resident memory counts the code of shared libraries as far as it was touched, which other
processes share and the system may drop; `private` is the rest, and its peaks in each fifth of a run say whether it
grows with the requests.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.usage import resident_mb

SETTINGS = (("text", 64), ("text", 256), ("image", 64), ("large image", 64))


def steps(root: Path) -> None:
    """Import and open what a run needs, in turn; prints what each adds."""
    before = (0.0, 0.0)

    def step(name: str) -> None:
        nonlocal before
        now = resident_mb()
        print(f"  {name:58} {now[0] - before[0]:6.0f} {now[1] - before[1]:8.0f} {now[0]:8.0f}", flush=True)
        before = now

    print(f"  {'adds, in MB':58} {'resident':>6} {'private':>8} {'in all':>8}")
    step("the interpreter")
    os.environ["OPENAI_API_KEY"] = "none"
    from openai import AsyncOpenAI, DefaultAioHttpClient

    async def connect() -> None:
        client = AsyncOpenAI(http_client=DefaultAioHttpClient())
        assert client.chat.completions
        await client.close()

    asyncio.run(connect())
    step("the SDK, its aiohttp transport, a client")
    from annotators.process_memory import frugal

    import duckdb  # isort: skip

    assert duckdb
    step("numpy, DuckDB, Arrow")
    import annotators
    from corpus.tasks import tasks

    assert annotators.annotate
    assert tasks()
    step("the rest of corpus and annotators, the tasks")
    from corpus import Corpus

    with frugal(), Corpus.open(root) as corpus:
        corpus.sql("select count(*) from samples where sample_id = ?", [""]).fetchall()
        step("a corpus open for reading: DuckLake, its SQLite catalog")
        corpus.append("claims", [{"trace_id": "a", "run_id": "b"}])
        step("and for writing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, nargs="+", default=[2000, 50_000])
    parser.add_argument("--steps", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.steps:
        steps(given.steps)
        return
    from benchmarks.annotate import make_corpus, measure

    with tempfile.TemporaryDirectory() as folder:
        make_corpus(Path(folder) / "corpus", 10, "text")
        sys.stdout.flush()
        subprocess.run([sys.executable, "-m", "benchmarks.annotate_memory", "--steps", f"{folder}/corpus"], check=True)
    print(
        "\nat the peak, in MB                    requests  resident  private  with workers    CPU ms  private by fifth"
    )
    for kind, concurrency in SETTINGS:
        for requests in given.requests if (kind, concurrency) == SETTINGS[0] else given.requests[:1]:
            sides = ["engine"]
            if requests == given.requests[0]:
                sides = ["floor"] * (kind != "large image") + sides + ["verified"] * (kind == "text")
            for what in sides:
                measured = measure(what, requests, concurrency, kind, 0)
                print(
                    f"{what:8} {kind:12} {concurrency:4} in flight {requests:11,} {measured.peak_mb:9.0f} "
                    f"{measured.private_mb:8.0f} {measured.family_mb:13.0f} {measured.cpu_ms:9.2f}  "
                    + " ".join(f"{peak:.0f}" for peak in measured.fifths_mb),
                    flush=True,
                )


if __name__ == "__main__":
    main()
