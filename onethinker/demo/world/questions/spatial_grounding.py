"""Spatial grounding: the box of a shape that is named by colour and form, or by how it stands out."""

from onethinker.demo.world.drawing import box_in
from onethinker.demo.world.question import Question, body
from onethinker.demo.world.questions.image_qa import clear_extremes
from onethinker.demo.world.stage import Stage


def ask(stage: Stage, number: int) -> Question:
    """Question `number` of the family."""
    picture, path = stage.picture(number)
    rng = stage.rng("box", number)
    phrases = {shape.name: shape for shape in picture.shapes}
    for extreme, name in clear_extremes(picture).items():
        words = "the largest shape" if extreme == "the largest" else f"the shape {extreme}"
        phrases[words.removeprefix("the ")] = phrases[name]
    phrase = sorted(phrases)[rng.integers(len(phrases))]
    box = box_in(phrases[phrase], picture.width, picture.height)
    return Question(
        "spatial grounding", "image", path, f"Please find the bounding box of: the {phrase}.", body(boxes=box)
    )
