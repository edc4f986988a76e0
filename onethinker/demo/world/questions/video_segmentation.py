"""Video segmentation: the moment when a shape is largest, with its box and points then; all masks for evaluation."""

from onethinker.demo.world.drawing import shape_box
from onethinker.demo.world.points import points_beside, points_on
from onethinker.demo.world.question import WorldQuestion, json_answer
from onethinker.demo.world.questions.image_segmentation import rle
from onethinker.demo.world.scenes import Scenes
from onethinker.demo.world.videos import FPS, HEIGHT, WIDTH


def ask(scenes: Scenes, number: int) -> WorldQuestion:
    """Question `number` of the family."""
    clip, path = scenes.shapes_video(number)
    actor = clip.role("breather")
    shape = actor.at(actor.peak_s)
    assert shape is not None, "a breather is there all the time"
    mask = clip.mask(actor, actor.peak_s)
    answer = json_answer(
        time=actor.peak_s,
        boxes=shape_box(shape, WIDTH, HEIGHT),
        positive_points=points_on(mask),
        negative_points=points_beside(mask),
    )
    names = [f"{frame:05}" for frame in range(len(clip.times()))]
    masks = [rle(clip.mask(actor, time_s)) for time_s in clip.times()]
    extras = {
        "resolution": {"width": WIDTH, "height": HEIGHT},
        "fps": float(FPS),
        "segmentation_output": {"frames": names, "segmentation_rle": dict(zip(names, masks, strict=True))},
    }
    text = f"Please segment the {actor.name} at the moment when it is largest."
    return WorldQuestion("segmentation", "video", path, text, answer, segmentation=extras)
