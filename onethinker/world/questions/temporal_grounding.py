"""Temporal grounding: when a shape is there, or when it moves."""

from onethinker.world.question import Question, body, either
from onethinker.world.stage import Stage


def ask(stage: Stage, number: int) -> Question:
    """Question `number` of the family; being there and moving take turns."""
    clip, path = stage.clip(number)
    actor, span, does = (
        (clip.role("visitor"), clip.role("visitor").visible, "is visible"),
        (clip.role("mover"), clip.role("mover").moves, "is moving"),
    )[number % 2]
    event = f"the {actor.name} {does}"
    text = either(
        stage.rng("when", number),
        f"Find when this happens in the video: {event}.",
        f"During which time {_asked(event)}?",
    )
    return Question("temporal grounding", "video", path, text, body(time=list(span)))


def _asked(event: str) -> str:
    subject, does = event.rsplit(" is ", 1)
    return f"is {subject} {does}"
