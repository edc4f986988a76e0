"""Tracking: follow the shape that a box in the first frame points at; key k is second k - 1 of the clip."""

from onethinker.demo.world.clips import HEIGHT, WIDTH
from onethinker.demo.world.drawing import box_in
from onethinker.demo.world.question import Question, body
from onethinker.demo.world.stage import Stage


def ask(stage: Stage, number: int) -> Question:
    """Question `number` of the family; what crosses and what starts and stops take turns."""
    clip, path = stage.clip(number)
    actor = clip.role(("crosser", "mover")[number % 2])
    boxes = {}
    for second in range(min(int(clip.times()[-1]) + 1, 32)):
        shape = actor.at(second)
        if shape is not None:
            boxes[str(second + 1)] = box_in(shape, WIDTH, HEIGHT)
    text = (
        f"Given the bounding box {boxes['1']} of the target object in the first frame, track this object in each frame."
    )
    return Question("tracking", "video", path, text, body(boxes=boxes))
