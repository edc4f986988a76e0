"""The models on offer."""

from dataclasses import dataclass

from corpus.errors import near


@dataclass(frozen=True)
class ServedModel:
    """A model: `goes` is how many chances it takes to be wrong where the strong one takes one."""

    id: str
    label: str
    goes: int

    def error_rate(self, rate: float) -> float:
        """Its share of wrong replies where the strong model has `rate`: 0 stays 0 and 1 stays 1."""
        return float(1 - (1 - rate) ** self.goes)


_MODELS = (ServedModel("local/pixels-1", "Pixels 1", 1), ServedModel("local/pixels-mini", "Pixels Mini", 3))

MODELS = {model.id: model for model in _MODELS}


def find(name: str) -> ServedModel | None:
    """The model of a name, with or without `local/`; None if there is none."""
    return MODELS.get(name) or MODELS.get(f"local/{name}")


def unknown(name: str) -> str:
    """What to tell somebody who asks for a model that there is not."""
    return f"The model '{name}' does not exist{near(name, MODELS)}"
