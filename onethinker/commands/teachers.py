"""`onethinker teachers`: list providers, models and prices."""

from pathlib import Path

from onethinker.options import Format
from onethinker.output import show


def teachers(*, prices: Path | None = None, format: Format = "table") -> None:
    """List the providers, the environment variables of their keys, and the models with a known price.

    Any model of a provider can be used, as provider:model; only --budget and costs need a price.

    Example: `onethinker teachers`

    Parameters
    ----------
    prices
        A TOML file of prices that override the built-in ones.
    """
    import pyarrow as pa

    from annotators.money import Price
    from annotators.money import prices as known_prices
    from corpus.discovery import modules

    rows = []
    for name, module in modules("annotators.providers").items():
        about = {
            "key": getattr(module, "KEY", None),
            "about": (module.__doc__ or "").strip().split("\n")[0],
        }
        mine = [(teacher, p) for teacher, p in known_prices(prices).items() if teacher.partition(":")[0] == name]
        unpriced: list[tuple[str, Price | None]] = [(f"{name}:MODEL", None)]
        for teacher, p in mine or unpriced:
            usd = {} if p is None else {"input_usd": p.input, "cached_usd": p.cached, "output_usd": p.output}
            dated = {} if p is None or p.date is None else {"price_of": p.date.isoformat(), "source": p.source}
            rows.append({"teacher": teacher} | usd | dated | about)
    columns = ("teacher", "input_usd", "cached_usd", "output_usd", "price_of", "key", "about", "source")
    numbers = {"input_usd", "cached_usd", "output_usd"}
    schema = pa.schema([(c, pa.decimal128(12, 6) if c in numbers else pa.string()) for c in columns])
    show(
        pa.Table.from_pylist([{c: row.get(c) for c in columns} for row in rows], schema),
        format,
        "USD per million tokens",
    )
