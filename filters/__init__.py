"""Which traces are kept: scoring at scale, and selection by recipe."""

from filters.live_verify import Alongside
from filters.score import score
from filters.select import select
from filters.verify import verify

__all__ = ["Alongside", "score", "select", "verify"]
