"""Temporal grounding: when a shape is there, or when it moves."""

from onethinker.demo.world.question import Question, body, either
from onethinker.demo.world.stage import Stage


def ask(stage: Stage, number: int) -> Question:
    """Question `number` of the family; being there and moving take turns."""
    clip, path = stage.clip(number)
    actor, span, does = (
        (clip.role("visitor"), clip.role("visitor").visible, "visible"),
        (clip.role("mover"), clip.role("mover").moves, "moving"),
    )[number % 2]
    rng = stage.rng("when", number)
    text = either(
        rng,
        f"Find when this happens in the video: the {actor.name} is {does}.",
        f"During which time is the {actor.name} {does}?",
    )
    return Question("temporal grounding", "video", path, text, body(time=list(span)))
