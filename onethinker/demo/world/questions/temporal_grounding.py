"""Temporal grounding: when a shape is there, or when it moves."""

from onethinker.demo.world.question import WorldQuestion, choose_phrase, json_answer
from onethinker.demo.world.scenes import Scenes


def ask(scenes: Scenes, number: int) -> WorldQuestion:
    """Question `number` of the family; being there and moving take turns."""
    clip, path = scenes.shapes_video(number)
    actor, span, does = (
        (clip.role("visitor"), clip.role("visitor").visible, "visible"),
        (clip.role("mover"), clip.role("mover").moves, "moving"),
    )[number % 2]
    rng = scenes.rng("when", number)
    text = choose_phrase(
        rng,
        f"Find when this happens in the video: the {actor.name} is {does}.",
        f"During which time is the {actor.name} {does}?",
    )
    return WorldQuestion("temporal grounding", "video", path, text, json_answer(time=list(span)))
