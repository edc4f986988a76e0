"""Selections that ship with the package: each file is one recipe; see docs/how-to/select.md."""
