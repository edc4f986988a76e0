"""Training configs that ship with the package; `onethinker train sft NAME` finds them by name."""
