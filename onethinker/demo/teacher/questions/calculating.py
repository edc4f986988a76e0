"""Expressions and equations written in an image, and numbers that a video shows in turn."""

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction

from onethinker.demo.teacher.measurements import MeasuredAnswer, Measurements, NotVisible, join_words
from onethinker.demo.world.images import latex

_OPERATIONS: dict[type, Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def value_of(text: str) -> Fraction:
    """The value of integers joined by + - * / and brackets. Raises NotVisible for anything else."""
    try:
        if len(text) > 60:
            raise ValueError("too long for a card")
        return _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError) as error:
        raise NotVisible(f"I read '{text}' and can not make a sum of it") from error


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return Fraction(node.value)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value(node.left), _value(node.right))
    raise ValueError("not a sum of whole numbers")


def _expression(_: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    text = " ".join(measured.lines)
    value = value_of(text)
    return MeasuredAnswer("number", latex(value), [f"The card says {text}.", f"Worked out, that is {value}."])


def _equation(_: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    text = " ".join(measured.lines)
    parts = re.fullmatch(r"(\d+) ?x ?([+-]) ?(\d+) ?= ?(\d+)", text.replace("X", "x"))
    if not parts or int(parts[1]) == 0:
        raise NotVisible(f"I read '{text}' and can not make an equation of it")
    offset = int(parts[2] + parts[3])
    rest = int(parts[4]) - offset
    root = Fraction(rest, int(parts[1]))
    thoughts = [f"The card says {text}.", f"So {parts[1]}x = {rest}, and x = {rest} / {parts[1]} = {root}."]
    return MeasuredAnswer("number", latex(root), thoughts)


def _numbers(measured: Measurements) -> list[int]:
    numbers = [int(text) for _, text in measured.slides if text.isdigit()]
    if not numbers:
        raise NotVisible("I looked for numbers on the frames and could read none")
    return numbers


def _sum(_: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    numbers = _numbers(measured)
    thoughts = [f"The video shows {join_words([str(n) for n in numbers])}.", f"Together they make {sum(numbers)}."]
    return MeasuredAnswer("number", str(sum(numbers)), thoughts)


def _product(_: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    numbers = _numbers(measured)
    product = numbers[0] * numbers[-1]
    thoughts = [f"The first number is {numbers[0]}, the last {numbers[-1]}.", f"Their product is {product}."]
    return MeasuredAnswer("number", str(product), thoughts)


PATTERNS = [
    (r"value of the expression on the card", _expression),
    (r"solve the equation on the card for x", _equation),
    (r"sum of the numbers that the video shows", _sum),
    (r"what is the first times the last", _product),
]
