"""One file per provider, found by walking this folder; the file's name is the provider's.

Each has `connect(model, settings) -> annotators.messages.Teacher` and says in its docstring's first line what it is and
which environment variables it reads. SDKs are imported inside `connect`: listing providers loads none of them.
"""

from annotators.messages import Teacher
from annotators.settings import Settings
from corpus.discovery import modules


def connect(settings: Settings) -> Teacher:
    """An open teacher for `settings.teacher`; raises OneThinkerError where its key is not set."""
    teacher: Teacher = modules(__name__)[settings.provider].connect(settings.model, settings)
    return teacher
