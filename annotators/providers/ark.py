"""Volcengine Ark, which serves the Seed models that OneThinker's own traces came from (ARK_API_KEY)."""

from annotators.http import key_from
from annotators.providers.openai import ChatTeacher
from annotators.settings import Settings

KEY = "ARK_API_KEY"
URL = "https://ark.cn-beijing.volces.com/api/v3"


def connect(model: str, settings: Settings) -> ChatTeacher:
    """A chat-completions teacher at ark's address."""
    return ChatTeacher(model, settings, key_from(KEY, settings), URL)
