"""Image QA: options, counts, shares and gauges, sums, signs and short answers over single pictures."""

from collections.abc import Callable

from onethinker.demo.world.palette import COLOURS, FORMS, Shape, place
from onethinker.demo.world.question import Question, either, lettered
from onethinker.demo.world.stage import Stage
from onethinker.demo.world.stills import Picture


def ask(stage: Stage, number: int) -> Question:
    """Question `number` of the family; the kinds take turns."""
    return _KINDS[number % len(_KINDS)](stage, number)


def _choose(stage: Stage, number: int) -> Question:
    picture, path = stage.picture(number)
    rng = stage.rng("choose", number)
    names = [shape.name for shape in picture.shapes]
    clear = clear_extremes(picture)
    forms = [shape.form for shape in picture.shapes]
    lone = [shape for shape in picture.shapes if forms.count(shape.form) == 1]
    if lone and (not clear or rng.random() < 0.5):
        shape = lone[rng.integers(len(lone))]
        text = either(
            rng, f"Which colour is the {shape.form}?", f"What is the colour of the {shape.form} in the picture?"
        )
        options, letter = lettered(rng, shape.colour, [colour for colour in COLOURS if colour != shape.colour])
    else:
        # With no lone form and no clear extreme, the number of shapes can always be asked for.
        if not clear:
            options, letter = lettered(rng, str(len(names)), [str(n) for n in range(2, 10) if n != len(names)])
            return Question("multiple choice", "image", path, "How many shapes does the picture hold?", letter, options)
        extreme, name = sorted(clear.items())[rng.integers(len(clear))]
        text = f"Which of the shapes is {extreme}?"
        options, letter = lettered(rng, name, [other for other in names if other != name])
    return Question("multiple choice", "image", path, text, letter, options)


def _count(stage: Stage, number: int) -> Question:
    picture, path = stage.picture(number)
    rng = stage.rng("count", number)
    groups = (("",), FORMS, tuple(COLOURS))
    wanted = str(rng.choice(groups[rng.integers(3)]))
    counted = [shape for shape in picture.shapes if wanted in ("", shape.form, shape.colour)]
    what = f"{wanted}s" if wanted in FORMS else f"{wanted} shapes".strip()
    text = either(rng, f"How many {what} are there in the image?", f"Count the {what} in the image.")
    return Question("numerical", "image", path, text, str(len(counted)))


def _measure(stage: Stage, number: int) -> Question:
    rng = stage.rng("measure", number)
    if number // len(_KINDS) % 2 == 0:
        gauge, path = stage.gauge(number)
        text = either(rng, "What value does the gauge show?", "Read the gauge: which value does it show?")
        return Question("regression", "image", path, text, f"{gauge.value:g}")
    picture, path = stage.picture(number)
    shape = picture.shapes[rng.integers(len(picture.shapes))]
    share = 100 * shape.area / (picture.width * picture.height)
    text = f"Give the fraction of the image area covered by the {shape.name}, in percent."
    return Question("regression", "image", path, text, f"{share:.2f}")


def _calculate(stage: Stage, number: int) -> Question:
    card, path = stage.card(number)
    return Question("math", "image", path, card.question, card.answer)


def _read(stage: Stage, number: int) -> Question:
    sign, path = stage.sign(number)
    rng = stage.rng("read", number)
    text = either(rng, "What does the text in the image say?", "Read the sign in the image.")
    return Question("OCR", "image", path, text, sign.text)


def _say(stage: Stage, number: int) -> Question:
    picture, path = stage.picture(number)
    rng = stage.rng("say", number)
    shape = picture.shapes[rng.integers(len(picture.shapes))]
    where = place(shape.x, shape.y, picture.width, picture.height)
    return Question(
        "open-ended", "image", path, f"Where in the image is the {shape.name}?", f"The {shape.name} is {where}."
    )


def clear_extremes(picture: Picture) -> dict[str, str]:
    """What stands out without doubt: `furthest to the left` (by 20 pixels), `the largest` (by a third) → its name."""
    ranks: dict[str, tuple[Callable[[Shape], float], float, float]] = {
        "furthest to the left": (lambda s: -s.x, 20.0, 0.0),
        "furthest to the right": (lambda s: s.x, 20.0, 0.0),
        "the largest": (lambda s: s.area, 0.0, 0.33),
    }
    found = {}
    for words, (rank, by, by_share) in ranks.items():
        *_, second, first = sorted(picture.shapes, key=rank)
        if rank(first) - rank(second) >= max(by, by_share * abs(rank(second))):
            found[words] = first.name
    return found


_KINDS: tuple[Callable[[Stage, int], Question], ...] = (_choose, _count, _measure, _calculate, _read, _say)
