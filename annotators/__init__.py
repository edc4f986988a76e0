"""How chain-of-thought gets written: async workers against LLM APIs, durable, paced and within a budget."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from annotators.run import AnnotationReport, annotate, annotate_with
    from annotators.settings import Settings

__all__ = ["AnnotationReport", "Settings", "annotate", "annotate_with"]


def __getattr__(name: str) -> Any:
    # The processes that decode media import a module of this package: they need no corpus and no engine.
    if name in ("AnnotationReport", "annotate", "annotate_with"):
        from annotators import run

        return getattr(run, name)
    if name == "Settings":
        from annotators.settings import Settings

        return Settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
