"""Image QA: options, counts, shares and gauges, sums, signs and short answers over single pictures."""

from collections.abc import Callable

from onethinker.demo.world.images import ShapesImage
from onethinker.demo.world.palette import COLOURS, FORMS, Shape, place
from onethinker.demo.world.question import WorldQuestion, choose_phrase, letter_options
from onethinker.demo.world.scenes import Scenes


def ask(scenes: Scenes, number: int) -> WorldQuestion:
    """Question `number` of the family; the kinds take turns."""
    return _KINDS[number % len(_KINDS)](scenes, number)


def _choose(scenes: Scenes, number: int) -> WorldQuestion:
    picture, path = scenes.shapes_image(number)
    rng = scenes.rng("choose", number)
    names = [shape.name for shape in picture.shapes]
    clear = clear_extremes(picture)
    forms = [shape.form for shape in picture.shapes]
    lone = [shape for shape in picture.shapes if forms.count(shape.form) == 1]
    if lone and (not clear or rng.random() < 0.5):
        shape = lone[rng.integers(len(lone))]
        text = choose_phrase(
            rng, f"Which colour is the {shape.form}?", f"What is the colour of the {shape.form} in the picture?"
        )
        options, letter = letter_options(rng, shape.colour, [colour for colour in COLOURS if colour != shape.colour])
    else:
        # With no lone form and no clear extreme, the number of shapes can always be asked for.
        if not clear:
            options, letter = letter_options(rng, str(len(names)), [str(n) for n in range(2, 10) if n != len(names)])
            return WorldQuestion(
                "multiple choice", "image", path, "How many shapes does the picture hold?", letter, options
            )
        extreme, name = sorted(clear.items())[rng.integers(len(clear))]
        text = f"Which of the shapes is {extreme}?"
        options, letter = letter_options(rng, name, [other for other in names if other != name])
    return WorldQuestion("multiple choice", "image", path, text, letter, options)


def _count(scenes: Scenes, number: int) -> WorldQuestion:
    picture, path = scenes.shapes_image(number)
    rng = scenes.rng("count", number)
    groups = (("",), FORMS, tuple(COLOURS))
    wanted = str(rng.choice(groups[rng.integers(3)]))
    counted = [shape for shape in picture.shapes if wanted in ("", shape.form, shape.colour)]
    what = f"{wanted}s" if wanted in FORMS else f"{wanted} shapes".strip()
    text = choose_phrase(rng, f"How many {what} are there in the image?", f"Count the {what} in the image.")
    return WorldQuestion("numerical", "image", path, text, str(len(counted)))


def _measure(scenes: Scenes, number: int) -> WorldQuestion:
    rng = scenes.rng("measure", number)
    if number // len(_KINDS) % 2 == 0:
        gauge, path = scenes.gauge(number)
        text = choose_phrase(rng, "What value does the gauge show?", "Read the gauge: which value does it show?")
        return WorldQuestion("regression", "image", path, text, f"{gauge.value:g}")
    picture, path = scenes.shapes_image(number)
    shape = picture.shapes[rng.integers(len(picture.shapes))]
    share = 100 * shape.area / (picture.width * picture.height)
    text = f"Give the fraction of the image area covered by the {shape.name}, in percent."
    return WorldQuestion("regression", "image", path, text, f"{share:.2f}")


def _calculate(scenes: Scenes, number: int) -> WorldQuestion:
    card, path = scenes.card(number)
    return WorldQuestion("math", "image", path, card.question, card.answer)


def _read(scenes: Scenes, number: int) -> WorldQuestion:
    sign, path = scenes.sign(number)
    rng = scenes.rng("read", number)
    text = choose_phrase(rng, "What does the text in the image say?", "Read the sign in the image.")
    return WorldQuestion("OCR", "image", path, text, sign.text)


def _say(scenes: Scenes, number: int) -> WorldQuestion:
    picture, path = scenes.shapes_image(number)
    rng = scenes.rng("say", number)
    shape = picture.shapes[rng.integers(len(picture.shapes))]
    where = place(shape.x, shape.y, picture.width, picture.height)
    return WorldQuestion(
        "open-ended", "image", path, f"Where in the image is the {shape.name}?", f"The {shape.name} is {where}."
    )


def clear_extremes(picture: ShapesImage) -> dict[str, str]:
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


_KINDS: tuple[Callable[[Scenes, int], WorldQuestion], ...] = (_choose, _count, _measure, _calculate, _read, _say)
