"""Ensemble: blind, with several teachers one after another; `annotators.agreement` then records how far they agree."""

from annotators.modes.blind import COLUMNS, FROM, WHERE, fields, template

__all__ = ["COLUMNS", "FROM", "WHERE", "fields", "template"]
