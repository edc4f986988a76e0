"""From decoded content to a reply: measured answer, reasoning, and a seeded error."""

import hashlib
import json
import random
import re
from dataclasses import dataclass

from onethinker.demo.teacher import tokens
from onethinker.demo.teacher.content import RequestContent
from onethinker.demo.teacher.error_injection import inject_error
from onethinker.demo.teacher.fallback import fallback_answer
from onethinker.demo.teacher.measurements import MeasuredAnswer, Measurements, NotVisible
from onethinker.demo.teacher.questions import match_question

_OPENINGS = (
    "Let me look at what is there.",
    "First I look closely.",
    "I start with what I can measure.",
    "Let me go through this step by step.",
)
_CLOSINGS = ("So the answer is {}.", "Therefore I answer {}.", "That gives {}.", "My answer is {}.")

# Cumulative shares of the wrong replies: a wrong answer, missing tags; the rest are truncated.
_WRONG, _UNTAGGED = 0.74, 0.87


@dataclass(frozen=True)
class TeacherReply:
    """The text of a reply, its finish reason (`stop` or `length`), and whether it is wrong on purpose."""

    text: str
    finish: str
    wrong: bool

    @property
    def thinking_tokens(self) -> int:
        """The estimated tokens before the answer."""
        return tokens.count_text(self.text.split("</think>")[0]) if "<think>" in self.text else 0


def respond(prompt: RequestContent, *, draw: bytes, error_rate: float, max_tokens: int | None = None) -> TeacherReply:
    """Answer a request. `draw` seeds every random choice: the same bytes give the same reply."""
    rng = random.Random(hashlib.sha256(draw).digest())
    wrong = rng.random() < error_rate
    fate = rng.random() if wrong else 0.0
    finding = measure_answer(prompt)
    if wrong and fate < _WRONG:
        finding = inject_error(finding, rng, prompt.options)
    thoughts = " ".join([rng.choice(_OPENINGS), *finding.thoughts, rng.choice(_CLOSINGS).format(_summary(finding))])
    body = finding.answer if isinstance(finding.answer, str) else json.dumps(finding.answer)
    text, finish = f"<think>{thoughts}</think><answer>{body}</answer>", "stop"
    if wrong and _WRONG <= fate < _UNTAGGED:
        text = re.sub(r"</?answer>", " ", text).strip() if rng.random() < 0.5 else f"{thoughts} {body}"
    elif wrong and fate >= _UNTAGGED:
        text, finish = text[: int(len(thoughts) * rng.uniform(0.3, 0.95))], "length"
    if max_tokens is not None and tokens.count_text(text) > max_tokens:
        text, finish = tokens.truncate(text, max_tokens), "length"
    return TeacherReply(text, finish, wrong)


def measure_answer(prompt: RequestContent) -> MeasuredAnswer:
    """The correct answer as far as it can be measured, as a letter if there are options; else a guess."""
    measured = Measurements(prompt)
    asked = match_question(prompt.text)
    try:
        if asked is None:
            raise NotVisible("this is not a kind of question that I know how to measure")
        match, answer = asked
        return _match_option(answer(match, measured), prompt.options)
    except NotVisible as why:
        return fallback_answer(measured, str(why))


def _match_option(finding: MeasuredAnswer, options: dict[str, str]) -> MeasuredAnswer:
    if not options or not isinstance(finding.answer, str):
        return finding
    wanted = finding.answer.lower().strip(" .")
    for letter, option in options.items():
        if option.lower().strip(" .") == wanted:
            return MeasuredAnswer("letter", letter, [*finding.thoughts, f"That is option {letter}, {option}."])
    raise NotVisible(f"I find {finding.answer}, which is not among the options")


def _summary(finding: MeasuredAnswer) -> str:
    if isinstance(finding.answer, dict):
        return "what I measured"
    return finding.answer.rstrip(".")
