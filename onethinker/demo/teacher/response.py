"""From a prompt to a reply: look, think aloud, answer; wrong on purpose where the seed says so."""

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

# Of the wrong replies: how many have a wrong answer, lack their tags, or end too early.
_WRONG, _UNTAGGED = 0.74, 0.87


@dataclass(frozen=True)
class TeacherReply:
    """A reply's text, why it ended (`stop` or `length`), and whether it was made wrong on purpose."""

    text: str
    finish: str
    wrong: bool

    @property
    def thinking_tokens(self) -> int:
        """The estimated tokens of what stands before the answer."""
        return tokens.count_text(self.text.split("</think>")[0]) if "<think>" in self.text else 0


def respond(prompt: RequestContent, *, draw: bytes, error_rate: float, max_tokens: int | None = None) -> TeacherReply:
    """Answer a prompt. `draw` decides everything that is left to chance: the same bytes give the same reply."""
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
    """What the teacher honestly finds, with a letter for an answer where options are on offer."""
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
