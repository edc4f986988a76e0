"""Spatio-temporal grounding: when a shape is there or moves, and where it is at each whole second of that."""

import math

from onethinker.demo.world.drawing import shape_box
from onethinker.demo.world.question import WorldQuestion, json_answer
from onethinker.demo.world.scenes import Scenes
from onethinker.demo.world.videos import HEIGHT, WIDTH


def ask(scenes: Scenes, number: int) -> WorldQuestion:
    """Question `number` of the family; being there and moving take turns, starting with moving."""
    clip, path = scenes.shapes_video(number)
    actor, span, does = (
        (clip.role("mover"), clip.role("mover").moves, "moving"),
        (clip.role("visitor"), clip.role("visitor").visible, "visible"),
    )[number % 2]
    boxes = {}
    for second in range(math.ceil(span[0]), math.floor(span[1]) + 1):
        shape = actor.at(second)
        if shape is not None:
            boxes[str(second)] = shape_box(shape, WIDTH, HEIGHT)
    text = f"When and where is the {actor.name} {does}? Give the time span and a box for each second."
    return WorldQuestion("spatial-temporal grounding", "video", path, text, json_answer(time=list(span), boxes=boxes))
