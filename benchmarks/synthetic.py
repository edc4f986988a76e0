"""A corpus of the paper's size and mix out of nothing, for benchmarks: 600k samples, 700k traces of 1,200 characters.

Answers have the shapes and lengths of real ones; seven in ten are right or nearly so, a few are cut off, loop, change
language or cannot be parsed. There are no media behind the samples. The same seed gives the same corpus.
"""

import argparse
import json
import multiprocessing
import random
import shutil
import string
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus import Corpus
from corpus.ids import digest
from corpus.schema import TABLES
from corpus.tasks import tasks

ROWS = 25_000
HAN = "首先观察图像然后数一红色的方块共有四个左右上下前后"

# problem_type, data_type, samples of the paper's 600k
MIX = [
    ("multiple choice", "video", 150_000),
    ("multiple choice", "image", 76_600),
    ("math", "image", 71_000),
    ("OCR", "image", 16_000),
    ("numerical", "image", 10_000),
    ("regression", "video", 20_000),
    ("open-ended", "video", 46_500),
    ("open-ended", "image", 29_000),
    ("temporal grounding", "video", 87_400),
    ("spatial grounding", "image", 30_000),
    ("spatial-temporal grounding", "video", 19_000),
    ("tracking", "video", 30_000),
    ("segmentation", "image", 11_000),
    ("segmentation", "video", 18_300),
]
WORDS = """the a of to in and is on with left right red blue cube ball table person walks then stops look first next
count four two object frame second moves toward camera behind front wooden metal small large figure shows value axis
line angle therefore because since step compare option seems matches sign text reads word letter image video scene
between before after while holding wearing shirt dog cat street car tree window kitchen hand cup water light dark"""


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options of a benchmark over this corpus: its size, and where it is kept."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=600_000)
    parser.add_argument("--traces", type=int, default=700_000)
    parser.add_argument("--keep", type=Path, help="where the corpus is, or is to be kept")
    return parser


@contextmanager
def opened(options: argparse.Namespace, verdicts: bool = False) -> Iterator[Corpus]:
    """The corpus that the options ask for, built if need be by a process of its own, whose memory goes with it."""
    scratch = Path(tempfile.mkdtemp())
    url = options.keep or scratch / "corpus"
    try:
        if not url.exists():
            started = time.perf_counter()
            wanted = (url, options.samples, options.traces, 0, verdicts)
            builder = multiprocessing.get_context("spawn").Process(target=build, args=wanted)
            builder.start()
            builder.join()
            if builder.exitcode:
                raise SystemExit(f"the corpus could not be built: exit code {builder.exitcode}")
            print(
                f"built {options.samples:,} samples, {options.traces:,} traces: {time.perf_counter() - started:.1f} s"
            )
        with Corpus.open(url) as corpus:
            yield corpus
    finally:
        shutil.rmtree(scratch)


def build(url: Path, samples: int = 600_000, traces: int = 700_000, seed: int = 0, verdicts: bool = False) -> None:
    """Make the corpus; with `verdicts`, each trace has one under `strict` already."""
    corpus = Corpus.create(url)
    per_sample = [0] * samples
    for i in range(min(traces, samples * 14 // 15)):  # one sample in fifteen has no trace
        per_sample[i] = 1
    chance = random.Random(seed)
    for _ in range(traces - sum(per_sample)):
        per_sample[chance.randrange(samples * 14 // 15)] += 1
    rows = _rows(samples, per_sample, seed)
    done = False
    while not done:
        chunk = {name: [] for name in ("samples", "traces", "verdicts")}
        for _ in range(ROWS):
            found = next(rows, None)
            if found is None:
                done = True
                break
            sample, its_traces, its_verdicts = found
            chunk["samples"].append(sample)
            chunk["traces"].extend(its_traces)
            chunk["verdicts"].extend(its_verdicts if verdicts else [])
        with corpus.transaction("benchmark") as tx:
            for name, listed in chunk.items():
                if listed:
                    tx.append(name, pa.Table.from_pylist(listed, schema=TABLES[name].schema))
    corpus.close()


def _rows(samples: int, per_sample: list[int], seed: int) -> Iterator[tuple[dict[str, Any], list[Any], list[Any]]]:
    chance = random.Random(seed + 1)
    words = WORDS.split()
    sentences = [" ".join(chance.choices(words, k=chance.randint(6, 18))).capitalize() + ". " for _ in range(20_000)]
    total = sum(n for _, _, n in MIX)
    kinds = [kind for kind in MIX for _ in range(max(1, round(1000 * kind[2] / total)))]
    chance.shuffle(kinds)
    last: dict[str, Any] = {}
    for i in range(samples):
        problem_type, data_type, _ = kinds[i % len(kinds)]
        truth, options, source = *_truth(chance, problem_type, data_type, sentences), f"source-{i % 76:02}"
        sample = {
            "sample_id": digest("benchmark", seed, i),
            "problem_type": problem_type,
            "data_type": data_type,
            "problem": f"<{data_type}>" + sentences[chance.randrange(20_000)] + sentences[chance.randrange(20_000)],
            "options": options,
            "answer": truth,
            "media": [{"kind": data_type, "sha256": digest("medium", i * 2 // 3), "width": 640, "height": 480}],
            "source": source,
            "split": "train",
            "licence": "none",
        }
        if i % 50 == 49:  # the sample before asks the same of the same medium in slightly other words
            sample |= {"problem": last["problem"] + " Tell.", "media": last["media"], "options": last["options"]}
        last = sample
        sample["task"] = tasks()[problem_type].family(sample)
        found = [_trace(chance, sample, attempt, sentences) for attempt in range(per_sample[i])]
        yield sample, [trace for trace, _ in found], [verdict for _, verdict in found]


def _trace(
    chance: random.Random, sample: dict[str, Any], attempt: int, sentences: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    right = chance.random() < 0.7
    answer = sample["answer"] if right else _wrong(chance, sample)
    thinking = "".join(chance.choices(sentences, k=chance.randint(9, 17)))
    odd = chance.random()
    if odd < 0.01:
        thinking = sentences[chance.randrange(20_000)] * 14
    elif odd < 0.02:
        thinking += "".join(chance.choices(HAN, k=500))
    elif odd < 0.03:
        thinking = f"The answer is {answer}. " + thinking
    elif odd < 0.04:
        thinking += f"So the answer is {_wrong(chance, sample)}."
    elif odd < 0.2:
        thinking += f"So the answer is {answer}."
    whole = odd < 0.98
    response = f"<think>{thinking}</think><answer>{answer}" + ("</answer>" if whole else "")
    accuracy = (1.0 if right else 0.3 * chance.random()) if whole else 0.0
    trace = {
        "trace_id": digest("benchmark trace", sample["sample_id"], attempt),
        "sample_id": sample["sample_id"],
        "teacher": "benchmark:one" if attempt % 2 == 0 else "benchmark:two",
        "mode": "blind",
        "prompt_id": digest(sample["problem_type"]),
        "params": "{}",
        "attempt": attempt,
        "response": response,
        "thinking": thinking,
        "answer": answer,
        "finish_reason": "stop" if whole else "length",
        "output_tokens": len(response) // 4,
    }
    verdict = {
        "trace_id": trace["trace_id"],
        "profile": "strict",
        "verifier": "benchmark",
        "format": float(whole),
        "structure": 0.0,
        "accuracy": accuracy,
        "reward": 0.9 * accuracy + 0.1 * whole,
        "components": [],
    }
    return trace, verdict


def _box(chance: random.Random) -> list[int]:
    x, y = chance.randint(0, 800), chance.randint(0, 800)
    return [x, y, x + chance.randint(20, 199), y + chance.randint(20, 199)]


def _truth(
    chance: random.Random, problem_type: str, data_type: str, sentences: list[str]
) -> tuple[str, list[str] | None]:
    start = round(chance.uniform(0, 60), 2)
    span = [start, round(start + chance.uniform(2, 20), 2)]
    match problem_type:
        case "multiple choice":
            return chance.choice("ABCD"), [f"{c}. {sentences[chance.randrange(20_000)][:40]}" for c in "ABCD"]
        case "math":
            a, b = chance.randint(1, 99), chance.randint(2, 99)
            forms = (f"${a}$", f"$\\frac{{{a}}}{{{b}}}$", f"${a}\\sqrt{{{b}}}$", f"{a}", f"$x={a}$", f"${a}^\\circ$")
            return chance.choices(forms, weights=(3, 3, 2, 6, 1, 1))[0], None
        case "OCR":
            return " ".join(
                "".join(chance.choices(string.ascii_letters, k=6)) for _ in range(chance.randint(1, 12))
            ), None
        case "numerical":
            return str(chance.randint(0, 2000)), None
        case "regression":
            return f"{chance.uniform(0.1, 90):.2f}", None
        case "open-ended":
            return "".join(chance.choices(sentences, k=chance.choice([1, 1, 2, 6, 8]))).strip(), None
        case "temporal grounding":
            return json.dumps({"time": span}), None
        case "spatial grounding":
            return json.dumps({"boxes": _box(chance)}), None
        case "spatial-temporal grounding":
            seconds = range(int(span[0]) + 1, int(span[1]) + 1)
            return json.dumps({"time": span, "boxes": {str(s): _box(chance) for s in seconds}}), None
        case "tracking":
            return json.dumps({"boxes": {str(s): _box(chance) for s in range(1, chance.randint(8, 32) + 1)}}), None
    points = {
        name: [[chance.randint(0, 1000), chance.randint(0, 1000)] for _ in range(3)]
        for name in ("positive", "negative")
    }
    found = {"boxes": _box(chance), "positive_points": points["positive"], "negative_points": points["negative"]}
    return json.dumps(({"time": span[0]} if data_type == "video" else {}) | found), None


def _wrong(chance: random.Random, sample: dict[str, Any]) -> str:
    """Another answer of the same shape: some of its digits or words are others."""
    if sample["problem_type"] == "multiple choice":
        return chance.choice([c for c in "ABCD" if c != sample["answer"]])
    if chance.random() < 0.03:
        return "I cannot tell."
    if sample["problem_type"] in ("open-ended", "OCR"):
        words = sample["answer"].split()
        chance.shuffle(words)
        return " ".join(words[: max(1, len(words) // 2)])
    return "".join(chance.choice("123456789") if c.isdigit() and chance.random() < 0.3 else c for c in sample["answer"])
