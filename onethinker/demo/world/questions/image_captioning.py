"""Image captioning: the shapes in reading order, and which is the largest."""

from onethinker.demo.world.palette import NUMBER_WORDS, place, with_article
from onethinker.demo.world.question import WorldQuestion, choose_phrase
from onethinker.demo.world.scenes import Scenes


def ask(scenes: Scenes, number: int) -> WorldQuestion:
    """Question `number` of the family."""
    picture, path = scenes.shapes_image(number)
    width, height = picture.width, picture.height
    in_order = sorted(picture.shapes, key=lambda s: (int(3 * s.y / height), s.x))
    parts = [f"{with_article(shape.name)} {place(shape.x, shape.y, width, height)}" for shape in in_order]
    join_words = f"{', '.join(parts[:-1])} and {parts[-1]}"
    largest = max(picture.shapes, key=lambda s: s.area).name
    answer = f"The image shows {NUMBER_WORDS[len(parts)]} shapes: {join_words}. The largest is the {largest}."
    text = choose_phrase(scenes.rng("caption", number), "Describe the image.", "Describe what the image shows.")
    return WorldQuestion("open-ended", "image", path, text, answer)
