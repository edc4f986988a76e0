"""Tracking: follow the shape that a box in the first frame points at; key k is second k - 1 of the clip."""

from onethinker.demo.world.drawing import shape_box
from onethinker.demo.world.question import WorldQuestion, json_answer
from onethinker.demo.world.scenes import Scenes
from onethinker.demo.world.videos import HEIGHT, WIDTH


def ask(scenes: Scenes, number: int) -> WorldQuestion:
    """Question `number` of the family; what crosses and what starts and stops take turns."""
    clip, path = scenes.shapes_video(number)
    actor = clip.role(("crosser", "mover")[number % 2])
    boxes = {}
    for second in range(min(int(clip.times()[-1]) + 1, 32)):
        shape = actor.at(second)
        if shape is not None:
            boxes[str(second + 1)] = shape_box(shape, WIDTH, HEIGHT)
    text = (
        f"Given the bounding box {boxes['1']} of the target object in the first frame, track this object in each frame."
    )
    return WorldQuestion("tracking", "video", path, text, json_answer(boxes=boxes))
