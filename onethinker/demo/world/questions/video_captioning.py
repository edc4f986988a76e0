"""Video captioning: what each shape does, from top to bottom."""

from onethinker.demo.world.question import WorldQuestion, choose_phrase
from onethinker.demo.world.questions.video_qa import sentence
from onethinker.demo.world.scenes import Scenes


def ask(scenes: Scenes, number: int) -> WorldQuestion:
    """Question `number` of the family."""
    clip, path = scenes.shapes_video(number)
    answer = " ".join(sentence(actor) for actor in clip.actors)
    text = choose_phrase(scenes.rng("caption", number), "Describe what happens in the video.", "Describe the video.")
    return WorldQuestion("open-ended", "video", path, text, answer)
