"""What the adversarial tests share: one honest sample of each type, and ways to answer it wrongly."""

import json
from dataclasses import dataclass
from typing import Any

BOX = [200, 200, 320, 320]
P3 = [[210, 210], [250, 250], [300, 300]]
N3 = [[100, 100], [400, 250], [250, 400]]
TRACK = {"boxes": {str(k): [200 + 10 * k, 200, 320 + 10 * k, 320] for k in range(1, 7)}}


@dataclass(frozen=True)
class Sample:
    """A question's type and its truth, and what a wrong but well-formed answer looks like."""

    problem_type: str
    truth: Any
    data_type: str = "image"
    options: tuple[str, ...] | None = None

    def row(self, response: str) -> dict[str, Any]:
        """The line that `table_of` reads for one response to this sample."""
        truth = text_of(self.truth)
        row = {"response": response, "ground_truth": truth, "problem_type": self.problem_type}
        return row | {"data_type": self.data_type, "options": list(self.options) if self.options else None}


SAMPLES = {
    sample.problem_type: sample
    for sample in [
        Sample("multiple choice", "B", options=("A. a cat", "B. a dog", "C. a bird", "D. a fish")),
        Sample("numerical", "37"),
        Sample("regression", "12.5"),
        Sample("math", "$\\frac{7}{3}$"),
        Sample("OCR", "CAFÉ DEL MAR 1998"),
        Sample("open-ended", "A man in a red coat crosses the busy street with two dogs."),
        Sample("temporal grounding", {"time": [12.5, 16]}, "video"),
        Sample("spatial grounding", {"boxes": BOX}),
        Sample(
            "spatial-temporal grounding",
            {"time": [4.2, 7.1], "boxes": {str(k): [200, 200 + 5 * k, 320, 320 + 5 * k] for k in range(5, 8)}},
            "video",
        ),
        Sample("tracking", TRACK, "video"),
        Sample("segmentation", {"boxes": BOX, "positive_points": P3, "negative_points": N3}),
    ]
}
VIDEO_SEGMENTATION = Sample(
    "segmentation", {"time": 6.0, "boxes": BOX, "positive_points": P3, "negative_points": N3}, "video"
)


def text_of(answer: Any) -> str:
    """An answer body."""
    return answer if isinstance(answer, str) else json.dumps(answer)


def reply(answer: Any, thinking: str = "Let me look.") -> str:
    """A well-formed response."""
    return f"<think>{thinking}</think><answer>{text_of(answer)}</answer>"


def wrapped(gold: str) -> list[tuple[str, str]]:
    """Responses around the right answer that must not be paid for it: (what is odd, response)."""
    return [
        ("bare", gold),
        ("no answer tags", f"<think>t</think>{gold}"),
        ("answer in the thinking", f"<think>{gold}</think><answer></answer>"),
        ("draft in the thinking", f"<think><answer>{gold}</answer></think><answer>?</answer>"),
        ("two answers, right first", f"<think>t</think><answer>{gold}</answer><answer>?</answer>"),
        ("two answers, right last", f"<think>t</think><answer>?</answer><answer>{gold}</answer>"),
        ("nested answers", f"<think>t</think><answer><answer>{gold}</answer></answer>"),
        ("text behind", f"<think>t</think><answer>{gold}</answer> I hope this helps."),
        ("answer before thinking", f"<answer>{gold}</answer><think>t</think>"),
        ("not closed", f"<think>t</think><answer>{gold}"),
        ("not opened", f"<think>t</think>{gold}</answer>"),
        ("upper case tags", f"<THINK>t</THINK><ANSWER>{gold}</ANSWER>"),
        ("blanks in the tags", f"< think >t</ think >< answer >{gold}</ answer >"),
        ("full-width tags", f"＜think＞t＜/think＞＜answer＞{gold}＜/answer＞"),
        ("thinking in the answer", f"<think>t</think><answer><think>{gold}</think></answer>"),
        ("only the thinking", f"<think>{gold}</think>"),
        ("attribute", f'<think>t</think><answer type="final">{gold}</answer>'),
        ("10,000 answers", "<think>t</think>" + f"<answer>{gold}</answer>" * 10_000),
        ("unclosed thinking", f"<think><answer>{gold}</answer>".replace("<answer>", "<answer >")),
    ]


TEXTS = [
    *[
        "",
        " ",
        "?",
        "-",
        "None",
        "null",
        "N/A",
        "unknown",
        "I do not know.",
        "As an AI I can not see the picture.",
        "\x00",
    ],
    *["[]", "{}", "[[]]", "true", "NaN", "Infinity", "-1e308", "1e400", "\ud7ff", "�" * 50, "٣", "Ⅷ", "∞", "𝟘"],
    *["the the the the the the", "a " * 300, "z" * 30_000, "(" * 5_000, "{" * 5_000, '{"a":' * 3_000, "[" * 3_000],
    *["9**9**9**9", "9^{9^{9^{9}}}", "999999!", "((((9^99)^99)^99)^99)", "\\int_0^1 x^x dx", "\\sum_{k=1}^{10^9} k"],
    *["__import__('os').system('true')", "lambda: 0", "1 if 1 else 1", "' or '1'='1", "${7*7}", "{{7*7}}"],
]

WRONG = {
    "multiple choice": [
        *["A", "C.", "(D)", "E", "Z", "2B-B", "B+0", "B/1", "B cm", "B%", "1B", "BB", "B or C", "A, B, C, D", "ABCD"],
        *[
            "B. a cat",
            "A. a dog",
            "dog or cat",
            "not B",
            "b=b",
            "B\\\\",
            "all of the above",
            "a cat a dog a bird a fish",
        ],
    ],
    "numerical": [
        *[
            "38",
            "36.99",
            "-37",
            "370",
            "3.7",
            "37 38",
            "37, 38",
            "36 or 37",
            "37 to 40",
            "3 7",
            "37x37",
            "37=37",
            "0x25",
        ],
        *[
            "37e1",
            "3.7e2",
            "37/2",
            "2 37/2",
            "thirty",
            "37.5",
            "37,5",
            "37,000",
            "37 million",
            "[37]",
            "37;36",
            "30-44",
        ],
    ],
    "regression": [
        *[
            "0",
            "-12.5",
            "125",
            "1.25",
            "20",
            "5",
            "1e308",
            "-1e308",
            "12.5 or 13",
            "10-15",
            "12.5,13",
            "12.5 13",
            "1/0",
        ],
        *[
            "12.5e5",
            "nan",
            "inf",
            "about a dozen",
            "12.5 million",
            "12,500",
            "[12.5]",
            "25",
            "6",
            "0.0000125",
            "1250%x",
        ],
    ],
    "math": [
        *[
            "7",
            "3",
            "\\frac{3}{7}",
            "-\\frac{7}{3}",
            "1, 7/3, 3",
            "\\{1, \\frac{7}{3}\\}",
            "x",
            "\\frac{7}{3}x",
            "7/3 or 3",
        ],
        *[
            "\\frac{7}{3} cm \\frac{8}{3}",
            "7:3 ratio",
            "\\frac{7}",
            "\\frac{}{}",
            "\\frac{0}{0}",
            "7 3",
            "73",
            "\\sqrt{7/3}",
        ],
        *["the answer is \\frac{7}{3}", "\\frac{7}{3}\\frac{7}{3}", "\\frac{7}{3}!", "7/3=8/3", "x=7/3=1", "2.33"],
    ],
    "OCR": [
        *[
            "MENU",
            "STOP",
            "1998 CAFÉ",
            "C",
            "....",
            "CAFÉ " * 40,
            "xxxx xxx xxx xxxx",
            "MAR DEL PLATA BEACH HOTEL",
            "e",
        ],
        *["the", "8991 RAM LED ÉFAC", "A B C D E F G H I J K L M N O P", "1234567890", "the picture shows a sign"],
    ],
    "open-ended": [
        *[
            "the a in of and with",
            "It is a picture.",
            "yes",
            "no",
            "There is something in the image that they are at.",
            "A",
        ],
        *[
            "A man in a red coat does not cross the busy street with two dogs.",
            "Mountains under snow at night.",
            "in in in",
        ],
        *["Nobody in a red coat crosses the busy street with two dogs.", "A the of " * 100, "Description: see above."],
    ],
    "temporal grounding": [
        *[
            {"time": time}
            for time in ([0, 0], [0, 1], [16, 12.5], [12.5, 12.5], [0, 604800], [0, 1e9], [-5, 16], [17, 20])
        ],
        *[
            {"time": time}
            for time in ([True, False], ["12.5", "16"], [12.5], [12.5, 16, 16], [[12.5, 16]], "12.5-16", None)
        ],
        *[
            '{"time": [NaN, 16]}',
            '{"time": [-Infinity, Infinity]}',
            '{"time": [0, 1], "time": [12.5, 16]}',
            "[12.5, 16]",
        ],
        *[
            '{"time": [12.5, 16]} or {"time": [0, 1]}',
            "12.5 - 16",
            '{"span": [12.5, 16]}',
            '{"time": [12.5, 16], "p": 1}',
        ],
    ],
    "spatial grounding": [
        *[
            {"boxes": box}
            for box in ([0] * 4, [0, 0, 1000, 1000], [320, 320, 200, 200], [0, 0, 1, 1], [500, 500, 900, 900])
        ],
        *[
            {"boxes": box}
            for box in ([200, 200, 320, 1e9], [-1e9, -1e9, 1e9, 1e9], ["200", "200", "320", "320"], [True] * 4)
        ],
        *[
            {"boxes": box}
            for box in (BOX[:3], [*BOX, 1], [BOX, [0, 0, 9, 9]], {"1": BOX}, None, "200,200,320,320", [[[*BOX]]])
        ],
        *[f'{{"boxes": [0, 0, 9, 9], "boxes": {BOX}}}', f'{{"boxes": {BOX}, "boxes": {BOX}}}', str(BOX)],
        *[f"```json\n{json.dumps({'boxes': BOX})}\n```", json.dumps({"box": BOX}), f'{{"boxes": {BOX}, "extra": [1]}}'],
    ],
    "spatial-temporal grounding": [
        {"time": [4.2, 7.1], "boxes": {}},
        {"time": [0, 0], "boxes": {str(k): [0] * 4 for k in range(60)}},
        {"time": [0, 60], "boxes": {str(k): [0, 0, 1000, 1000] for k in range(60)}},
        {"time": [0, 1000], "boxes": {str(k): BOX for k in range(1001)}},
        {"time": [50, 53], "boxes": {"51": BOX, "52": BOX}},
        {"time": [7.1, 4.2], "boxes": {"5": BOX}},
        {"time": [4.2, 7.1], "boxes": [BOX, BOX, BOX]},
        {"time": [4.2, 7.1], "boxes": {"05": BOX}},
        {"time": [4.2, 7.1], "boxes": {"5": None}},
        {"time": [4.2, 7.1], "boxes": {"5": ["200", "225", "320", "345"]}},
        {"time": ["4.2", "7.1"], "boxes": {"5": BOX}},
        {"time": [4.2, 7.1]},
        {"boxes": {"5": BOX}},
        '{"time": [4.2, 7.1], "boxes": {"5": [NaN, 0, 1, 1]}}',
        '{"time": [4.2, 7.1], "boxes": {"5": [0, 0, 1, 1], "5": [200, 225, 320, 345]}}',
    ],
    "tracking": [
        {"boxes": {"1": TRACK["boxes"]["1"]}},
        {"boxes": {str(k): None for k in range(1, 7)}},
        {"boxes": {str(k): [0] * 4 for k in range(1, 7)}},
        {"boxes": {str(k): [0, 0, 1000, 1000] for k in range(1, 33)}},
        {"boxes": {str(k): [800, 800, 900, 900] for k in range(1, 7)}},
        {"boxes": {str(k): [str(v) for v in TRACK["boxes"][str(k)]] for k in range(1, 7)}},
        {"boxes": {f"0{k}": TRACK["boxes"][str(k)] for k in range(1, 7)}},
        {"boxes": {f"{k}.0": TRACK["boxes"][str(k)] for k in range(1, 7)}},
        {"boxes": {f" {k}": TRACK["boxes"][str(k)] for k in range(1, 7)}},
        {"boxes": list(TRACK["boxes"].values())},
        {"boxes": {}},
        {"boxes": {str(k): BOX for k in range(1, 5000)}},
        {"frames": TRACK["boxes"]},
        {"boxes": TRACK["boxes"], "score": 1},
        json.dumps(TRACK).replace('"2"', '"1"'),
        json.dumps(TRACK).replace("320]", "Infinity]"),
    ],
    "segmentation": [
        {"boxes": [700, 700, 900, 900], "positive_points": P3, "negative_points": N3},
        {"boxes": [0, 0, 1000, 1000], "positive_points": P3, "negative_points": N3},
        {"boxes": [0] * 4, "positive_points": P3, "negative_points": N3},
        {"boxes": BOX, "positive_points": P3[:2], "negative_points": N3},
        {"boxes": BOX, "positive_points": [*P3, [1, 1]], "negative_points": N3},
        {"boxes": BOX, "positive_points": P3},
        {"boxes": BOX, "positive_points": [[1e200, 0]] * 3, "negative_points": N3},
        {"boxes": BOX, "positive_points": [[-1, 0]] * 3, "negative_points": N3},
        {"boxes": BOX, "positive_points": [["210", "210"]] * 3, "negative_points": N3},
        {"boxes": BOX, "positive_points": [[True, True]] * 3, "negative_points": N3},
        {"boxes": BOX, "positive_points": [None] * 3, "negative_points": N3},
        {"boxes": BOX, "positive_points": P3, "negative_points": N3, "time": 6.0},
        {"boxes": BOX, "positive_points": {"0": P3[0]}, "negative_points": N3},
        f'{{"boxes": {BOX}, "boxes": {BOX}, "positive_points": {P3}, "negative_points": {N3}}}',
    ],
}
WRONG_CLIPS = [
    {"time": 6.0, "boxes": [700, 700, 900, 900], "positive_points": P3, "negative_points": N3},
    {"time": 6.0, "boxes": [0, 0, 1, 1], "positive_points": [[999, 0]] * 3, "negative_points": [[0, 999]] * 3},
    {"time": "6.0", "boxes": BOX, "positive_points": P3, "negative_points": N3},
    {"time": True, "boxes": BOX, "positive_points": P3, "negative_points": N3},
    {"time": [6.0], "boxes": BOX, "positive_points": P3, "negative_points": N3},
    {"time": None, "boxes": BOX, "positive_points": P3, "negative_points": N3},
    {"time": -6.0, "boxes": BOX, "positive_points": P3, "negative_points": N3},
    {"time": 1e300, "boxes": BOX, "positive_points": P3, "negative_points": N3},
    {"boxes": BOX, "positive_points": P3, "negative_points": N3},
    json.dumps({"time": 6.0, "boxes": BOX, "positive_points": P3, "negative_points": N3}).replace("6.0", "NaN"),
]
