"""Which traces are kept: scoring at scale, and selection by recipe."""

from filters.live_verify import LiveVerifier
from filters.score import score
from filters.select import select
from filters.verify import verify

__all__ = ["LiveVerifier", "score", "select", "verify"]
