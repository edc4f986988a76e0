"""The local teacher that `onethinker teacher` serves (ONETHINKER_TEACHER_URL, no key): for machines without one."""

import os

from annotators.providers.openai import ChatTeacher
from annotators.settings import Settings

URL = "ONETHINKER_TEACHER_URL"
DEFAULT_URL = "http://127.0.0.1:8765/v1"


def connect(model: str, settings: Settings) -> ChatTeacher:
    """The local teacher; the same model answers the same wherever it is served, so its address tells nothing."""
    return ChatTeacher(model, settings, "local", os.environ.get(URL) or DEFAULT_URL, address="local")
