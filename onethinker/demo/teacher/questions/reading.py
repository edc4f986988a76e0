"""Text: on a sign in an image, on slides in a video."""

import re

from onethinker.demo.teacher.measurements import MeasuredAnswer, Measurements, NotVisible, join_words


def _sign(_: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    if not measured.lines:
        raise NotVisible("I looked for a light panel with dark letters and found none that I can read")
    thoughts = [f"There is a panel with {len(measured.lines)} lines.", f"They read {join_words(measured.lines)}."]
    return MeasuredAnswer("text", " ".join(measured.lines), thoughts)


def _words(_: re.Match[str], measured: Measurements) -> MeasuredAnswer:
    if not measured.slides:
        raise NotVisible("I looked for panels with letters on the frames and can read none")
    thoughts = [f"From {time_s:.1f} s on it says {text}." for time_s, text in measured.slides]
    return MeasuredAnswer("text", " ".join(text for _, text in measured.slides), thoughts)


PATTERNS = [
    (r"what does the text in the image say|read the sign in the image", _sign),
    (r"read the words of the video in their order", _words),
]
