"""Video captioning: what each shape does, from top to bottom."""

from onethinker.demo.world.question import Question, either
from onethinker.demo.world.questions.video_qa import sentence
from onethinker.demo.world.stage import Stage


def ask(stage: Stage, number: int) -> Question:
    """Question `number` of the family."""
    clip, path = stage.clip(number)
    answer = " ".join(sentence(actor) for actor in clip.actors)
    text = either(stage.rng("caption", number), "Describe what happens in the video.", "Describe the video.")
    return Question("open-ended", "video", path, text, answer)
