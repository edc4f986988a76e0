"""OpenRouter, one key for many providers' models (OPENROUTER_API_KEY)."""

from annotators.http import key_from
from annotators.providers.openai import ChatTeacher
from annotators.settings import Settings

KEY = "OPENROUTER_API_KEY"
URL = "https://openrouter.ai/api/v1"


def connect(model: str, settings: Settings) -> ChatTeacher:
    """A chat-completions teacher at openrouter's address."""
    return ChatTeacher(model, settings, key_from(KEY, settings), URL)
