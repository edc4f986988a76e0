"""Video QA: options, counts, distances, sums, words shown in turn and short answers over clips."""

from collections.abc import Callable

from onethinker.demo.world.question import WorldQuestion, choose_phrase, letter_options
from onethinker.demo.world.scenes import Scenes
from onethinker.demo.world.videos import WIDTH, MovingShape, ShapesVideo


def ask(scenes: Scenes, number: int) -> WorldQuestion:
    """Question `number` of the family; the kinds take turns."""
    return _KINDS[number % len(_KINDS)](scenes, number)


def _choose(scenes: Scenes, number: int) -> WorldQuestion:
    clip, path = scenes.shapes_video(number)
    rng = scenes.rng("choose", number)
    if rng.random() < 0.5:
        actor = clip.actors[rng.integers(len(clip.actors))]
        ways = ["to the left", "to the right", "it does not move", "upwards"]
        right = f"to the {actor.direction}" if actor.direction else "it does not move"
        options, letter = letter_options(rng, right, [way for way in ways if way != right])
        text = f"In which direction does the {actor.name} move?"
    else:
        name = clip.role("visitor").name
        options, letter = letter_options(rng, name, [actor.name for actor in clip.actors if actor.name != name])
        text = choose_phrase(
            rng, "Which shape appears only for a while?", "Which shape is not there during the whole video?"
        )
    return WorldQuestion("multiple choice", "video", path, text, letter, options)


def _count(scenes: Scenes, number: int) -> WorldQuestion:
    clip, path = scenes.shapes_video(number)
    rng = scenes.rng("count", number)
    if rng.random() < 0.5:
        text = "How many shapes move from one place to another in the video?"
        count = sum(1 for actor in clip.actors if actor.direction)
    else:
        time_s = _quiet_time(clip, int(rng.integers(4)))
        text = f"How many shapes can be seen {time_s:g} seconds into the video?"
        count = sum(1 for actor in clip.actors if actor.at(time_s))
    return WorldQuestion("numerical", "video", path, text, str(count))


def _quiet_time(clip: ShapesVideo, pick: int) -> float:
    """A half-second mark with nothing appearing or vanishing within 0.6 s."""
    edges = clip.role("visitor").visible
    marks = [n / 2 for n in range(1, int(2 * clip.duration_s) - 1)]
    quiet = [mark for mark in marks if all(abs(mark - edge) >= 0.6 for edge in edges)]
    return quiet[(len(quiet) - 1) * pick // 3]


def _measure(scenes: Scenes, number: int) -> WorldQuestion:
    clip, path = scenes.shapes_video(number)
    actor = clip.role("mover")
    share = 100 * abs(actor.end_x - actor.shape.x) / WIDTH
    text = f"How far does the {actor.name} move, in percent of the width of the image?"
    return WorldQuestion("regression", "video", path, text, f"{share:.1f}")


def _calculate(scenes: Scenes, number: int) -> WorldQuestion:
    slides, path = scenes.numbers(number)
    numbers = [int(text) for text in slides.texts]
    if scenes.rng("calculate", number).random() < 0.5:
        return WorldQuestion(
            "math", "video", path, "What is the sum of the numbers that the video shows?", str(sum(numbers))
        )
    text = "The video shows numbers one after the other. What is the first times the last?"
    return WorldQuestion("math", "video", path, text, str(numbers[0] * numbers[-1]))


def _read(scenes: Scenes, number: int) -> WorldQuestion:
    slides, path = scenes.words(number)
    return WorldQuestion("OCR", "video", path, "Read the words of the video in their order.", " ".join(slides.texts))


def _say(scenes: Scenes, number: int) -> WorldQuestion:
    clip, path = scenes.shapes_video(number)
    actor = clip.actors[scenes.rng("say", number).integers(len(clip.actors))]
    return WorldQuestion("open-ended", "video", path, f"What does the {actor.name} do?", sentence(actor))


def sentence(actor: MovingShape) -> str:
    """What an actor does, in one sentence."""
    return _SENTENCES[actor.role].format(name=actor.name, direction=actor.direction)


_SENTENCES = {
    "crosser": "The {name} moves to the {direction} all the time.",
    "mover": "The {name} waits, then moves to the {direction} and stops.",
    "visitor": "The {name} appears and later disappears.",
    "breather": "The {name} grows and shrinks again.",
    "still": "The {name} does not move.",
}

_KINDS: tuple[Callable[[Scenes, int], WorldQuestion], ...] = (_choose, _count, _measure, _calculate, _read, _say)
