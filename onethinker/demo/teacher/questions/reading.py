"""What is written: on a sign in a picture, on slides in a video."""

import re

from onethinker.demo.teacher.view import Finding, NotSeen, View, listed


def _sign(_: re.Match[str], view: View) -> Finding:
    if not view.lines:
        raise NotSeen("I looked for a light panel with dark letters and found none that I can read")
    thoughts = [f"There is a panel with {len(view.lines)} lines.", f"They read {listed(view.lines)}."]
    return Finding("text", " ".join(view.lines), thoughts)


def _words(_: re.Match[str], view: View) -> Finding:
    if not view.slides:
        raise NotSeen("I looked for panels with letters on the frames and can read none")
    thoughts = [f"From {time_s:.1f} s on it says {text}." for time_s, text in view.slides]
    return Finding("text", " ".join(text for _, text in view.slides), thoughts)


ASKS = [
    (r"what does the text in the image say|read the sign in the image", _sign),
    (r"read the words of the video in their order", _words),
]
