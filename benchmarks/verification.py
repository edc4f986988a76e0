"""A corpus of the paper's size and mix verified from end to end: reading, scoring in processes, writing verdicts.

    python -m benchmarks.verification                              # 600k samples, 700k traces; builds them first
    python -m benchmarks.verification --samples 60000 --traces 70000
    python -m benchmarks.verification --keep /somewhere/corpus     # keeps the corpus; a second run finds nothing to do

The aim is under 5 minutes on 2 cores at under 2 GB. Rates of single types: benchmarks/verify.py. On a machine that does
other things meanwhile, processor seconds over 2 are what it would take on two idle cores.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.synthetic import build
from benchmarks.usage import usage
from corpus import Corpus
from filters import verify


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=600_000)
    parser.add_argument("--traces", type=int, default=700_000)
    parser.add_argument("--profile", default="strict")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="where the corpus is, or is to be kept")
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp())
    url = options.keep or scratch / "corpus"
    try:
        if not url.exists():
            started = time.perf_counter()
            build(url, options.samples, options.traces).close()
            print(
                f"built {options.samples:,} samples, {options.traces:,} traces: {time.perf_counter() - started:.1f} s"
            )
        with Corpus.open(url) as corpus:
            before, started = usage(), time.perf_counter()
            done = verify(corpus, profile=options.profile, workers=options.workers)
            seconds, after = time.perf_counter() - started, usage()
        cpu_s = after.cpu_s - before.cpu_s
        print(f"{done.traces:,} traces in {seconds:.1f} s, {done.traces / seconds:,.0f} traces/s")
        print(f"processor {cpu_s:.1f} s, over two cores {cpu_s / 2:.1f} s")
        print(f"peak memory {after.peak_gb:.2f} GB of all processes together, {after.main_gb:.2f} GB of the main one")
        print(", ".join(f"{reason} {n:,}" for reason, n in done.reasons.items()))
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
