"""Spatio-temporal grounding: when a shape is there or moves, and where it is at each whole second of that."""

import math

from onethinker.demo.world.clips import HEIGHT, WIDTH
from onethinker.demo.world.drawing import box_in
from onethinker.demo.world.question import Question, body
from onethinker.demo.world.stage import Stage


def ask(stage: Stage, number: int) -> Question:
    """Question `number` of the family; being there and moving take turns, starting with moving."""
    clip, path = stage.clip(number)
    actor, span, does = (
        (clip.role("mover"), clip.role("mover").moves, "moving"),
        (clip.role("visitor"), clip.role("visitor").visible, "visible"),
    )[number % 2]
    boxes = {}
    for second in range(math.ceil(span[0]), math.floor(span[1]) + 1):
        shape = actor.at(second)
        if shape is not None:
            boxes[str(second)] = box_in(shape, WIDTH, HEIGHT)
    text = f"When and where is the {actor.name} {does}? Give the time span and a box for each second."
    return Question("spatial-temporal grounding", "video", path, text, body(time=list(span), boxes=boxes))
