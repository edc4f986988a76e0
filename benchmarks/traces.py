"""Made-up traces of every type: right, nearly right and malformed answers behind 1,200 characters of thinking."""

import json
import random
from collections.abc import Callable
from typing import Any

THOUGHTS = (
    "First I look at the whole scene.",
    "The object on the left is larger than the one on the right.",
    "It moves slowly towards the centre / the edge.",
    "Comparing both, 3 < 5, so the second option fits better.",
    "At about 12 seconds the camera turns.",
    "I check the colours again: red, blue, and a dark green.",
    "That leaves only one possibility.",
)
WORD_LIST = """
    a man woman dog street red coat walks slowly across the busy crossing while cars wait behind lights children playing
    with ball near fountain old building windows reflecting evening sun people standing talking under trees bicycle
    parked against wall market stalls selling fruits vegetables flowers music band stage crowd cheering raining umbrella
"""
WORDS = WORD_LIST.split()

Maker = Callable[[random.Random], tuple[str, str, str, list[str] | None]]  # truth, near answer, data type, options


def thinking(chance: random.Random, characters: int = 1200) -> str:
    text = ""
    while len(text) < characters:
        text += chance.choice(THOUGHTS) + " "
    return text[:characters]


def sentence(chance: random.Random, words: int) -> list[str]:
    return chance.choices(WORDS, k=words)


def changed(chance: random.Random, words: list[str]) -> str:
    return " ".join(word if chance.random() < 0.8 else chance.choice(WORDS) for word in words)


def box(chance: random.Random) -> list[int]:
    x, y = chance.randint(0, 700), chance.randint(0, 700)
    return [x, y, x + chance.randint(20, 290), y + chance.randint(20, 290)]


def moved(chance: random.Random, values: list[int]) -> list[int]:
    return [min(1000, max(0, value + chance.randint(-9, 9))) for value in values]


def spot(chance: random.Random) -> list[int]:
    return [chance.randint(0, 1000), chance.randint(0, 1000)]


def text_pair(words: int) -> Maker:
    def make(chance: random.Random) -> tuple[str, str, str, list[str] | None]:
        truth = sentence(chance, words)
        return " ".join(truth), changed(chance, truth), "image", None

    return make


def choice(chance: random.Random) -> tuple[str, str, str, list[str] | None]:
    options = [f"{letter}. {' '.join(sentence(chance, 4))}" for letter in "ABCD"]
    truth, pick = chance.choice("ABCD"), chance.choice("ABCD")
    forms = [pick, pick, pick, f"{pick}.", options["ABCD".index(pick)]]
    return truth, chance.choice(forms), "image", options


def figure(chance: random.Random) -> tuple[str, str, str, list[str] | None]:
    truth = round(chance.uniform(-500, 5000), chance.randint(0, 3))
    return f"{truth:g}", f"{truth * chance.choice([1, 1, 1.004, 1.07, 1.3]):g}", "image", None


def formula(chance: random.Random) -> tuple[str, str, str, list[str] | None]:
    a, b, c = (chance.randint(2, 40) for _ in range(3))
    forms = [
        (f"{a * b}", f"{a * b}"),
        (f"{a * b}", f"{a * c}"),
        (f"${a}$", f"{a}.0"),
        (f"$\\frac{{{a}}}{{{b}}}$", f"\\frac{{{a * c}}}{{{b * c}}}"),
        (f"$\\frac{{{a}}}{{{b}}}$", f"$\\frac{{{a}}}{{{b}}}$"),
        (f"$\\frac{{{a}}}{{{b}}}$", f"$\\frac{{{b}}}{{{a}}}$"),
        (f"${a}\\sqrt{{{b}}}$", f"${a}\\sqrt{{{b}}}$"),
        (f"${a}\\sqrt{{{b}}}$", f"${c}\\sqrt{{{b}}}$"),
        (f"$x={a}$", f"${a}$"),
        (f"${a}\\pi$", f"{a}\\pi"),
    ]
    truth, answer = chance.choice(forms)
    return truth, answer, "image", None


def span(chance: random.Random) -> tuple[str, str, str, list[str] | None]:
    start = round(chance.uniform(0, 80), 2)
    end = round(start + chance.uniform(1, 30), 2)
    near = [round(max(0, start + chance.uniform(-3, 3)), 1), round(end + chance.uniform(-0.5, 3), 1)]
    return json.dumps({"time": [start, end]}), json.dumps({"time": near}), "video", None


def place(chance: random.Random) -> tuple[str, str, str, list[str] | None]:
    truth = box(chance)
    return json.dumps({"boxes": truth}), json.dumps({"boxes": moved(chance, truth)}), "image", None


def tube(chance: random.Random) -> tuple[str, str, str, list[str] | None]:
    start, seconds = chance.randint(0, 30), chance.randint(5, 16)
    boxes = {str(second): box(chance) for second in range(start + 1, start + seconds)}
    truth = {"time": [start + 0.4, start + seconds - 0.3], "boxes": boxes}
    near = {"time": [start + 0.2, start + seconds], "boxes": {k: moved(chance, b) for k, b in boxes.items()}}
    return json.dumps(truth), json.dumps(near), "video", None


def track(chance: random.Random) -> tuple[str, str, str, list[str] | None]:
    boxes = {str(frame): box(chance) for frame in range(1, 33)}
    near = {frame: moved(chance, one) for frame, one in boxes.items()}
    return json.dumps({"boxes": boxes}), json.dumps({"boxes": near}), "video", None


def prompt(chance: random.Random) -> tuple[str, str, str, list[str] | None]:
    video = chance.random() < 0.5
    truth: dict[str, Any] = {"time": round(chance.uniform(0, 40), 1)} if video else {}
    truth |= {"boxes": box(chance), "positive_points": [spot(chance) for _ in range(3)]}
    truth["negative_points"] = [spot(chance) for _ in range(3)]
    near = {**truth, "boxes": moved(chance, truth["boxes"])}
    for name in ("positive_points", "negative_points"):
        near[name] = [moved(chance, point) for point in truth[name]]
    return json.dumps(truth), json.dumps(near), "video" if video else "image", None


MAKERS: dict[str, tuple[str, Maker]] = {
    "multiple choice": ("multiple choice", choice),
    "numerical": ("numerical", figure),
    "regression": ("regression", figure),
    "math": ("math", formula),
    "OCR, 20 words": ("OCR", text_pair(20)),
    "OCR, 100 words": ("OCR", text_pair(100)),
    "OCR, 200 words": ("OCR", text_pair(200)),
    "open-ended, 15 words": ("open-ended", text_pair(15)),
    "open-ended, 120 words": ("open-ended", text_pair(120)),
    "temporal grounding": ("temporal grounding", span),
    "spatial grounding": ("spatial grounding", place),
    "spatial-temporal grounding": ("spatial-temporal grounding", tube),
    "tracking": ("tracking", track),
    "segmentation": ("segmentation", prompt),
}


def rows(kind: str, count: int, seed: int = 0, per_sample: int = 1) -> list[dict[str, Any]]:
    """`count` lines for `corpus.scoring.table_of`, `per_sample` traces to each made-up sample."""
    problem_type, make = MAKERS[kind]
    chance = random.Random(f"{kind} {seed}")
    found: list[dict[str, Any]] = []
    while len(found) < count:
        truth, near, data_type, options = make(chance)
        for _ in range(min(per_sample, count - len(found))):
            answer = near if chance.random() < 0.95 else near[: len(near) // 2] + "?"
            response = f"<think>\n{thinking(chance)}\n</think>\n<answer>\n{answer}\n</answer>"
            row = {"response": response, "ground_truth": truth, "problem_type": problem_type, "data_type": data_type}
            found.append({**row, "options": options})
    return found
