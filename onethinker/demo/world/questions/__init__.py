"""The questions of the world: one file for each task family, named as the family is, each with an `ask`."""
