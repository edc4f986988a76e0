"""How fast responses are scored, by type, against a plain loop over samples in the same run on the same rows.

    python -m benchmarks.verify [--rows 2000] [--profile strict] [--only tracking]

Prints responses scored in a second of processor time by the loop (benchmarks/plain_rewards.py) and by
`corpus.scoring.score`, Arrow in and Arrow out, and their ratio. Every row has a sample of its own, so nothing is gained
from truths that come again. Rates are of the fastest of three rounds, each over rows not seen before.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import plain_rewards
from benchmarks.traces import MAKERS, rows
from corpus.scoring import score, table_of

SLOW = {"math": 8, "OCR, 200 words": 4, "OCR, 100 words": 2, "open-ended, 120 words": 4, "multiple choice": 8}


def rate(count: int, work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return count / (time.process_time() - started)


def plain(row: dict[str, Any]) -> float:
    return plain_rewards.reward(row["response"], row["ground_truth"], row["problem_type"], row["data_type"])


def measure(kind: str, count: int, profile: str, rounds: int = 3) -> tuple[float, float, float]:
    """(loop, batch) in responses a second, and the greatest difference between the loop's rewards and `paper`'s."""
    plain_count = count // SLOW.get(kind, 1)
    score(table_of(rows(kind, 50, seed=-1)), profile)  # imports, compiled patterns
    loops, batches, gap = [], [], 0.0
    for seed in range(rounds):
        made = rows(kind, count, seed)
        table = table_of(made)
        batches.append(rate(count, lambda table=table: score(table, profile)))
        got: list[float] = []
        some = made[:plain_count]
        loops.append(rate(plain_count, lambda some=some, got=got: got.extend(map(plain, some))))
        ours = score(table_of(some), "paper")["reward"].to_numpy(zero_copy_only=False)
        gap = max(gap, float(np.abs(ours - np.array(got)).max()))
    return max(loops), max(batches), gap


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--profile", default="strict")
    parser.add_argument("--only", help="one kind of row")
    asked = parser.parse_args()
    print(f"{'kind':28} {'loop/s':>10} {asked.profile + '/s':>10} {'ratio':>7}   loop against `paper`")
    for kind in [asked.only] if asked.only else MAKERS:
        loop, batch, gap = measure(kind, asked.rows, asked.profile)
        print(f"{kind:28} {loop:10,.0f} {batch:10,.0f} {batch / loop:6.1f}×   {gap:.1g}", flush=True)


if __name__ == "__main__":
    main()
