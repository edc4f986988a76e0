"""The reward as a reader of the paper would write it: one response at a time, with the libraries it names.

This is what `benchmarks/verify.py` measures against: three reward functions of (response, truth), as trainers take
them, each reading what it needs. It is written to be read and not to be slow: patterns are compiled once, the ROUGE
scorer is made once, and edit distances keep one row.
"""

import itertools
import json
import math
import re
from typing import Any

import numpy as np
from math_verify import parse, verify
from mathruler.grader import grade_answer
from rouge_score import rouge_scorer

FORM = re.compile(r"\A\s*<think>.*?</think>\s*<answer>.*?</answer>\s*\Z", re.DOTALL)
ANSWER = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.DOTALL)
TAG_SPACE = re.compile(r"\s*(<|>|/)\s*")
ROUGE = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)


def reward(response: str, truth: str, problem_type: str, data_type: str) -> float:
    response = TAG_SPACE.sub(r"\1", response)
    form = format_reward(response)
    right = accuracy_reward(response, truth, problem_type, data_type)
    return 0.9 * right + 0.1 * form + (structure_reward(response, truth, problem_type, data_type) if form else 0.0)


def format_reward(response: str) -> float:
    return 1.0 if FORM.match(response) else 0.0


def extract(response: str) -> str:
    found = ANSWER.search(response)
    return found.group(1) if found else response.strip()


def accuracy_reward(response: str, truth: str, problem_type: str, data_type: str) -> float:
    try:
        answer = extract(response)
        if problem_type == "multiple choice":
            return float(grade_answer(answer.strip(), truth.strip()))
        if problem_type == "numerical":
            return float(round(number(answer), 2) == round(number(truth), 2))
        if problem_type == "regression":
            return relative_accuracy(number(answer), number(truth))
        if problem_type == "math":
            return float(verify(parse(truth), parse(answer)))
        if problem_type == "OCR":
            return max(0.0, 1.0 - word_error_rate(truth, answer))
        if problem_type == "open-ended":
            scores = ROUGE.score(truth, answer)
            return sum(score.fmeasure for score in scores.values()) / 3
        mine, theirs = json.loads(answer), json.loads(truth)
        if problem_type == "temporal grounding":
            return span_iou(mine["time"], theirs["time"])
        if problem_type == "spatial grounding":
            return box_iou(mine["boxes"], theirs["boxes"])
        if problem_type == "spatial-temporal grounding":
            shared = [second for second in mine["boxes"] if second in theirs["boxes"]]
            ious = [box_iou(mine["boxes"][second], theirs["boxes"][second]) for second in shared]
            return 0.5 * span_iou(mine["time"], theirs["time"]) + 0.5 * (sum(ious) / len(ious) if ious else 0.0)
        if problem_type == "tracking":
            ious = [box_iou(mine["boxes"].get(k, []), box) for k, box in theirs["boxes"].items()]
            return sum(ious) / len(ious)
        if problem_type == "segmentation":
            iou = box_iou(mine["boxes"], theirs["boxes"])
            on = point_similarity(mine["positive_points"], theirs["positive_points"])
            off = point_similarity(mine["negative_points"], theirs["negative_points"])
            if data_type == "image":
                return 0.5 * iou + 0.25 * on + 0.25 * off
            near = math.exp(-abs(mine["time"] - theirs["time"]) / 2)
            return 0.3 * iou + 0.3 * near + 0.2 * on + 0.2 * off
    except (ValueError, TypeError, KeyError, AttributeError):
        return 0.0
    return 0.0


def structure_reward(response: str, truth: str, problem_type: str, data_type: str) -> float:
    if problem_type in ("multiple choice", "numerical", "regression", "math", "OCR", "open-ended"):
        return 0.5
    try:
        mine = json.loads(extract(response))
        if problem_type == "temporal grounding":
            return 0.5 * numbers(mine["time"], 2)
        if problem_type == "spatial grounding":
            return 0.5 * numbers(mine["boxes"], 4)
        if problem_type in ("tracking", "spatial-temporal grounding"):
            theirs = json.loads(truth)["boxes"]
            sound = all(numbers(box, 4) for box in mine["boxes"].values())
            return 0.25 * sound + 0.25 * len(set(mine["boxes"]) & set(theirs)) / len(theirs)
        points = [*mine["positive_points"], *mine["negative_points"]]
        timed = data_type == "image" or isinstance(mine["time"], int | float)
        return 0.5 * (timed and numbers(mine["boxes"], 4) and len(points) == 6 and all(numbers(p, 2) for p in points))
    except (ValueError, TypeError, KeyError, AttributeError):
        return 0.0


def number(text: str) -> float:
    return float(text.replace(",", ""))


def numbers(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(isinstance(float(v), float) for v in value)


def relative_accuracy(answer: float, truth: float) -> float:
    error = np.abs(np.float32(answer) - np.float32(truth)) / (np.abs(np.float32(truth)) + np.float32(1e-8))
    thresholds = (0.5 + 0.05 * np.arange(10)).astype(np.float32)
    return float((error < 1 - thresholds).mean())


def word_error_rate(truth: str, answer: str) -> float:
    a, b = truth.split(), answer.split()
    row = list(range(len(b) + 1))
    for i, word in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    return row[-1] / max(1, len(a))


def span_iou(a: list[float], b: list[float]) -> float:
    covered = max(a[1], b[1]) - min(a[0], b[0])
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0])) / covered if covered > 0 else 0.0


def box_iou(a: list[float], b: list[float]) -> float:
    if not numbers(a, 4) or not numbers(b, 4):
        return 0.0
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    either = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / either if either > 0 else 0.0


def point_similarity(a: list[list[float]], b: list[list[float]]) -> float:
    if len(a) != 3 or len(b) != 3 or not all(numbers(point, 2) for point in a + b):
        return 0.0
    totals = [sum(math.dist(a[i], b[j]) for i, j in enumerate(order)) for order in itertools.permutations(range(3))]
    return math.exp(-((min(totals) / 3) ** 2) / (2 * 50**2))
