"""Advantages of one RL batch against a plain loop over groups, timed in the same run.

    python -m benchmarks.advantages            # 1,024 rows: 128 prompts × 8 responses, 12 task keys
    python -m benchmarks.advantages --rows 8192

Times are end to end: Python lists of rewards, group ids and task keys in, a float64 array out. The aim is 1 ms for
1,024 rows of EMA-GRPO. Each time is the median of the repeats; the ratio is the loop's time over ours.
"""

import argparse
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np

from trainers.advantages import DrGrpo, EmaGrpo, G2rpo, Gdpo, Grpo
from trainers.task_keys import task_keys

TYPES = ["multiple choice", "numerical", "regression", "math", "OCR", "open-ended", "temporal grounding"]
TYPES += ["spatial grounding", "spatial-temporal grounding", "tracking", "segmentation"]
Batch = tuple[list[float], list[str], list[str]]


def batch_of(rows: int, seed: int = 0) -> Batch:
    chance = random.Random(seed)
    prompts = [(f"prompt-{i}", chance.choice(TYPES), chance.choice(["image", "video"])) for i in range(rows // 8)]
    repeated = [prompt for prompt in prompts for _ in range(8)]
    names, types, kinds = map(list, zip(*repeated, strict=True))
    return [0.1 + 0.9 * chance.random() for _ in repeated], names, task_keys(types, kinds)


def plain_ema_grpo(
    rewards: list[float], groups: list[str], tasks: list[str], moments: dict[str, list[float]]
) -> list[float]:
    """EMA-GRPO as one would first write it: dictionaries of rows and loops over them, no numpy."""
    of_group, of_task = defaultdict(list), defaultdict(list)
    for row, (group, task) in enumerate(zip(groups, tasks, strict=True)):
        of_group[group].append(row)
        of_task[task].append(row)
    centred = list(rewards)
    for rows in of_group.values():
        mean = sum(rewards[row] for row in rows) / len(rows)
        for row in rows:
            centred[row] = rewards[row] - mean
    sigma = {}
    for task, rows in of_task.items():
        new = [sum(rewards[row] ** power for row in rows) / len(rows) for power in (1, 2)]
        old = moments.get(task)
        moments[task] = new if old is None else [0.99 * o + 0.01 * n for o, n in zip(old, new, strict=True)]
        sigma[task] = max(moments[task][1] - moments[task][0] ** 2, 1e-6) ** 0.5
    scaled = [value / (sigma[task] + 1e-6) for value, task in zip(centred, tasks, strict=True)]
    for rows in of_group.values():
        if any(abs(scaled[row]) > 5 for row in rows):
            std = statistics.pstdev([rewards[row] for row in rows])
            for row in rows:
                scaled[row] = centred[row] / (std + 1e-6)
    return scaled


def median_ms(act: Callable[[], object], repeats: int) -> float:
    act()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=1024)
    options.add_argument("--repeats", type=int, default=200)
    given = options.parse_args()
    batch = batch_of(given.rows)
    np.testing.assert_allclose(EmaGrpo().advantages(*batch), plain_ema_grpo(*batch, {}), rtol=1e-4, atol=1e-6)
    moments: dict[str, list[float]] = {}
    loop = median_ms(lambda: plain_ema_grpo(*batch, moments), given.repeats)
    print(f"{len(batch[0])} rows, median of {given.repeats}\n{'estimator':<12}{'ms':>8}{'loop/ours':>12}")
    print(f"{'plain loop':<12}{loop:>8.3f}{1:>12.1f}")
    for estimator in (EmaGrpo(), EmaGrpo(guard="clip"), Grpo(), DrGrpo(), Gdpo(), G2rpo()):
        name = estimator.name + (" clip" if getattr(estimator, "guard", "") == "clip" else "")
        taken = median_ms(lambda estimator=estimator: estimator.advantages(*batch), given.repeats)  # type: ignore[misc]
        # the loop is EMA-GRPO, so only its ratio compares like with like
        ratio = f"{loop / taken:>12.1f}" if isinstance(estimator, EmaGrpo) else f"{'':>12}"
        print(f"{name:<12}{taken:>8.3f}{ratio}".rstrip())


if __name__ == "__main__":
    main()
