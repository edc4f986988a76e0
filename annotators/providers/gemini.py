"""Google's Gemini models through their OpenAI-compatible endpoint (GEMINI_API_KEY)."""

from annotators.http import key_from
from annotators.providers.openai import ChatTeacher
from annotators.settings import Settings

KEY = "GEMINI_API_KEY"
URL = "https://generativelanguage.googleapis.com/v1beta/openai/"


def connect(model: str, settings: Settings) -> ChatTeacher:
    """A chat-completions teacher at gemini's address."""
    return ChatTeacher(model, settings, key_from(KEY, settings), URL)
