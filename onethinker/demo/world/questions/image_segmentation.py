"""Image segmentation: a box, three points on the shape and three beside it; the mask for evaluation."""

import numpy as np
from pycocotools import mask as coco

from onethinker.demo.world.drawing import shape_box
from onethinker.demo.world.points import points_beside, points_on
from onethinker.demo.world.question import WorldQuestion, json_answer
from onethinker.demo.world.scenes import Scenes


def ask(scenes: Scenes, number: int) -> WorldQuestion:
    """Question `number` of the family."""
    picture, path = scenes.shapes_image(number)
    shape = picture.shapes[scenes.rng("segment", number).integers(len(picture.shapes))]
    mask = picture.mask(shape)
    answer = json_answer(
        boxes=shape_box(shape, picture.width, picture.height),
        positive_points=points_on(mask),
        negative_points=points_beside(mask),
    )
    extras = {
        "resolution": {"width": picture.width, "height": picture.height},
        "segmentation_output": {"segmentation_rle": rle(mask)},
    }
    return WorldQuestion(
        "segmentation", "image", path, f"Please segment the {shape.name}.", answer, segmentation=extras
    )


def rle(mask: np.ndarray) -> dict[str, object]:
    """A mask as COCO run lengths: {"size": [height, width], "counts": text}."""
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(n) for n in packed["size"]], "counts": packed["counts"].decode("ascii")}
