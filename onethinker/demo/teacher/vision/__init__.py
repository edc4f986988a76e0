"""Seeing: classical vision from pixels to things, lines of text and tracks. Nothing here reads a question."""
