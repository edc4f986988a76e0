"""Retry: blind once more, for the samples that were asked about and of which no trace verified.

Give another teacher, prompt or temperature with it; `n` more traces are made of each such sample.
"""

from annotators.modes import UNSOLVED
from annotators.modes.blind import COLUMNS, FROM, fields, template

WHERE = UNSOLVED

__all__ = ["COLUMNS", "FROM", "WHERE", "fields", "template"]
