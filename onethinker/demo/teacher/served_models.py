"""The models that the teacher serves."""

from dataclasses import dataclass

from corpus.errors import near


@dataclass(frozen=True)
class ServedModel:
    """A model: it is wrong if any of `draws` random draws is, so more draws make it worse."""

    id: str
    label: str
    draws: int

    def error_rate(self, rate: float) -> float:
        """Its share of wrong replies if one draw is wrong at `rate`: 0 stays 0 and 1 stays 1."""
        return float(1 - (1 - rate) ** self.draws)


_MODELS = (ServedModel("local/pixels-1", "Pixels 1", 1), ServedModel("local/pixels-mini", "Pixels Mini", 3))

MODELS = {model.id: model for model in _MODELS}


def find(name: str) -> ServedModel | None:
    """The model of a name, with or without `local/`, or None."""
    return MODELS.get(name) or MODELS.get(f"local/{name}")


def unknown(name: str) -> str:
    """The error message for an unknown model."""
    return f"The model '{name}' does not exist{near(name, MODELS)}"
