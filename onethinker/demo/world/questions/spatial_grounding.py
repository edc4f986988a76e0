"""Spatial grounding: the box of a shape that is named by colour and form, or by how it stands out."""

from onethinker.demo.world.drawing import shape_box
from onethinker.demo.world.question import WorldQuestion, json_answer
from onethinker.demo.world.questions.image_qa import clear_extremes
from onethinker.demo.world.scenes import Scenes


def ask(scenes: Scenes, number: int) -> WorldQuestion:
    """Question `number` of the family."""
    picture, path = scenes.shapes_image(number)
    rng = scenes.rng("box", number)
    phrases = {shape.name: shape for shape in picture.shapes}
    for extreme, name in clear_extremes(picture).items():
        words = "the largest shape" if extreme == "the largest" else f"the shape {extreme}"
        phrases[words.removeprefix("the ")] = phrases[name]
    phrase = sorted(phrases)[rng.integers(len(phrases))]
    box = shape_box(phrases[phrase], picture.width, picture.height)
    return WorldQuestion(
        "spatial grounding", "image", path, f"Please find the bounding box of: the {phrase}.", json_answer(boxes=box)
    )
