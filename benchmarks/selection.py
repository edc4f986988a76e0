"""The 340k recipe over a corpus of the paper's size: how long, and is it the same every time?

    python -m benchmarks.selection                                    # 600k samples, 700k traces; builds them first
    python -m benchmarks.selection --samples 60000 --traces 70000
    python -m benchmarks.selection --keep /somewhere/corpus           # keeps the corpus for the next time

The aim is under 2 minutes on 2 cores, and one fingerprint. The corpus is synthetic: see benchmarks/synthetic.py.
"""

import os
import time
from pathlib import Path

from benchmarks.synthetic import arguments, opened
from benchmarks.usage import peak_memory, usage
from filters import select

RECIPE = Path(__file__).parents[1] / "filters" / "recipes" / "onethinker_sft_340k.yaml"


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--times", type=int, default=2, help="how often to select")
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    options = parser.parse_args()
    with opened(options, verdicts=True) as corpus, peak_memory() as peak:
        for i in range(options.times):
            before, started = usage(), time.perf_counter()
            done = select(corpus, options.recipe, f"benchmark-{os.getpid()}-{i}")
            seconds = time.perf_counter() - started
            cpu_s = usage().cpu_s - before.cpu_s
            print(f"{seconds:.1f} s, processor {cpu_s:.1f} s, over two cores {cpu_s / 2:.1f} s")
            print(f"{done.snapshot.rows:,} rows, fingerprint {done.snapshot.fingerprint}")
    for step, reasons in done.dropped.items():
        print(f"  {step}: " + (", ".join(f"{reason} {n:,}" for reason, n in sorted(reasons.items())) or "none"))
    print(f"peak memory {peak}")


if __name__ == "__main__":
    main()
