"""Image segmentation: a box, three points on the shape and three beside it; the mask for evaluation."""

import numpy as np
from pycocotools import mask as coco

from onethinker.demo.world.drawing import box_in
from onethinker.demo.world.pointing import points_beside, points_on
from onethinker.demo.world.question import Question, body
from onethinker.demo.world.stage import Stage


def ask(stage: Stage, number: int) -> Question:
    """Question `number` of the family."""
    picture, path = stage.picture(number)
    shape = picture.shapes[stage.rng("segment", number).integers(len(picture.shapes))]
    mask = picture.mask(shape)
    answer = body(
        boxes=box_in(shape, picture.width, picture.height),
        positive_points=points_on(mask),
        negative_points=points_beside(mask),
    )
    extras = {
        "resolution": {"width": picture.width, "height": picture.height},
        "segmentation_output": {"segmentation_rle": rle(mask)},
    }
    return Question("segmentation", "image", path, f"Please segment the {shape.name}.", answer, segmentation=extras)


def rle(mask: np.ndarray) -> dict[str, object]:
    """A mask as COCO run lengths: {"size": [height, width], "counts": text}."""
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(n) for n in packed["size"]], "counts": packed["counts"].decode("ascii")}
