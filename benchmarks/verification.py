"""A corpus of the paper's size and mix verified from end to end: reading, scoring in processes, writing verdicts.

    python -m benchmarks.verification                              # 600k samples, 700k traces; builds them first
    python -m benchmarks.verification --samples 60000 --traces 70000
    python -m benchmarks.verification --keep /somewhere/corpus     # keeps the corpus; a second run finds nothing to do

The aim is under 5 minutes on 2 cores at under 2 GB. Rates of single types: benchmarks/verify.py. On a machine that does
other things meanwhile, processor seconds over 2 are what it would take on two idle cores.
"""

import time

from benchmarks.synthetic import arguments, opened
from benchmarks.usage import peak_memory, usage
from filters import verify


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--profile", default="strict")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with opened(options) as corpus, peak_memory() as peak:
        before, started = usage(), time.perf_counter()
        done = verify(corpus, profile=options.profile, workers=options.workers)
        seconds, after = time.perf_counter() - started, usage()
    cpu_s = after.cpu_s - before.cpu_s
    print(f"{done.traces:,} traces in {seconds:.1f} s, {done.traces / seconds:,.0f} traces/s")
    print(f"processor {cpu_s:.1f} s, over two cores {cpu_s / 2:.1f} s")
    print(f"peak memory {peak}")
    print(", ".join(f"{reason} {n:,}" for reason, n in done.reasons.items()))


if __name__ == "__main__":
    main()
