"""Money: what tokens cost, exactly, and a budget that no number of requests in flight can overrun."""

import datetime
import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from annotators.messages import ImagePart, Reply, Request, TextPart, VideoPart
from corpus.errors import OneThinkerError, near

BUILT_IN = Path(__file__).with_name("prices.toml")
_MILLION = Decimal(1_000_000)
_LAST_DIGIT = Decimal("1e-12")
_DATED = re.compile(r"-\d{4}-?\d{2}-?\d{2}$|-latest$")


@dataclass(frozen=True)
class Price:
    """One teacher's prices in USD for a million tokens; `batch` is the batch API's share of them.

    `cached` and `cache_write` are for input tokens read from and written to the provider's cache, `reasoning` for the
    reasoning part of the output; None means: priced like the rest. A request of more than `long_from` input tokens
    costs `long_input` and `long_output` times as much.
    """

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None
    batch: Decimal = Decimal("0.5")
    long_from: int | None = None
    long_input: Decimal = Decimal(2)
    long_output: Decimal = Decimal("1.5")
    date: datetime.date | None = None
    source: str = ""

    def cost(self, reply: Reply, *, batch: bool = False) -> Decimal | None:
        """USD for one reply, to the twelfth digit; None where the provider said nothing of its tokens."""
        if reply.input_tokens is None or reply.output_tokens is None:
            return None
        fresh = reply.input_tokens - reply.cached_tokens - reply.cache_write_tokens
        read = fresh * self.input + reply.cached_tokens * _or(self.cached, self.input)
        read += reply.cache_write_tokens * _or(self.cache_write, self.input)
        words = reply.output_tokens - reply.reasoning_tokens
        written = words * self.output + reply.reasoning_tokens * _or(self.reasoning, self.output)
        return self._total(reply.input_tokens, read, written, batch)

    def max_cost(self, input_tokens: int, output_tokens: int, *, batch: bool = False) -> Decimal:
        """The most that so many tokens can cost."""
        read = input_tokens * max(self.input, _or(self.cache_write, self.input))
        written = output_tokens * max(self.output, _or(self.reasoning, self.output))
        return self._total(input_tokens, read, written, batch)

    def _total(self, input_tokens: int, read: Decimal, written: Decimal, batch: bool) -> Decimal:
        if self.long_from is not None and input_tokens > self.long_from:
            read, written = read * self.long_input, written * self.long_output
        return ((read + written) * (self.batch if batch else 1) / _MILLION).quantize(_LAST_DIGIT)


def _or(price: Decimal | None, other: Decimal) -> Decimal:
    return other if price is None else price


@cache
def prices(override: Path | None = None) -> dict[str, Price]:
    """Every teacher's price by `provider:model`, the built-in file's first, then the override's over them.

    Raises OneThinkerError for a file that is no TOML, or a price that is no number of USD.
    """
    found: dict[str, Price] = {}
    for path in (BUILT_IN, override):
        if path is None:
            continue
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
            raise OneThinkerError(f"prices in {path} cannot be read: {error}") from None
        for teacher, fields in tables.items():
            found[teacher] = _price(teacher, fields, path)
    return found


def _price(teacher: str, fields: Any, path: Path) -> Price:
    known = Price.__dataclass_fields__
    if not isinstance(fields, dict) or not {"input", "output"} <= set(fields):
        raise OneThinkerError(f"{path}: '{teacher}' needs input and output, in USD for a million tokens")
    for name in fields:
        if name not in known:
            raise OneThinkerError(f"{path}: '{teacher}' has an unknown field '{name}'{near(name, known)}")
    money = {name: value for name, value in fields.items() if name not in ("date", "source")}
    for name, value in money.items():
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or value < 0:
            raise OneThinkerError(f"{path}: {name} of '{teacher}' must be a number of USD, not {value!r}")
    exact: dict[str, Any] = {name: Decimal(value) for name, value in money.items() if name != "long_from"}
    return Price(**(fields | exact))


def price_of(teacher: str, override: Path | None = None) -> Price | None:
    """The price of `provider:model`: its own entry, that of the model without its date, or `provider:*`."""
    known = prices(override)
    provider = teacher.partition(":")[0]
    family = f"{provider.partition('_')[0]}:{teacher.partition(':')[2]}"  # openai_responses costs what openai does
    for name in (teacher, _DATED.sub("", teacher), family, _DATED.sub("", family), f"{provider}:*"):
        if name in known:
            return known[name]
    return None


def max_input_tokens(request: Request) -> int:
    """More input tokens than the request can have: a token is a byte or more, and no vision encoder known to us turns
    fewer than 400 pixels into a token."""
    total = 64 + len((request.system or "").encode())
    for part in request.parts:
        match part:
            case TextPart():
                total += len(part.text.encode())
            case ImagePart():
                total += 100 + part.width * part.height // 400
            case VideoPart():
                total += 100 + int(part.duration_s * 1_000)
    return total


class Budget:
    """What was spent and what requests under way may still cost, never together above the limit.

    Before a request is sent the most that it can cost is reserved; its answer settles the real cost. A request that
    broke after it was sent may have been charged: its reserve stays counted, as `unsure`. `before` is what killed
    runs of the same command have spent of the budget.
    """

    def __init__(self, limit: Decimal | None, before: Decimal = Decimal(0)) -> None:
        self.limit = limit
        self.spent = before
        self.reserved = Decimal(0)
        self.unsure = Decimal(0)

    def reserve(self, most: Decimal) -> bool:
        """Set the most that a request can cost aside; False, and nothing set aside, if it does not fit."""
        if self.limit is not None and self.spent + self.unsure + self.reserved + most > self.limit:
            return False
        self.reserved += most
        return True

    def reserve_committed(self, most: Decimal) -> None:
        """Set aside what is at the provider already and cannot be held back: it counts even over the limit."""
        self.reserved += most

    def settle(self, most: Decimal, cost: Decimal | None) -> None:
        """Replace a reserve by the reply's cost, or by itself if that is unknown."""
        self.reserved -= most
        self.spent += most if cost is None else cost

    def release(self, most: Decimal, *, unsure: bool) -> None:
        """Give a reserve back without a reply; `unsure` if the request may have been charged all the same."""
        self.reserved -= most
        if unsure:
            self.unsure += most
