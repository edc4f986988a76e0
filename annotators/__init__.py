"""How chain-of-thought gets written: async workers against LLM APIs, durable, paced and within a budget."""

from annotators.run import Report, annotate
from annotators.settings import Settings

__all__ = ["Report", "Settings", "annotate"]
