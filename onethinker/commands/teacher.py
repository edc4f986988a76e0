"""`onethinker teacher`: serve the local teacher over HTTP."""

from typing import Annotated

from cyclopts import Parameter

from corpus.ranges import SHARE, Range
from onethinker.options import Seed


def teacher(
    *,
    port: Annotated[int, Parameter(validator=Range(0, 65_535))] = 8765,
    host: str = "127.0.0.1",
    seed: Seed = 0,
    error_rate: Annotated[float, Parameter(validator=SHARE)] = 0.15,
    latency_ms: Annotated[float, Parameter(validator=Range(0, 3_600_000))] = 0.0,
) -> None:
    """Serve a teacher that needs no key: it speaks the OpenAI and Anthropic APIs and measures pixels to answer.

    It understands the images and videos of the demo and guesses about any others; a seeded share of its answers is
    wrong on purpose. Models: local/pixels-1, and local/pixels-mini, which is wrong more often. It accepts any key.

    Example: `onethinker teacher --port 8765`

    Parameters
    ----------
    port
        The port to listen on; 0 picks a free one.
    host
        The address to listen on.
    seed
        Decides which answers are wrong, and how.
    error_rate
        The share of answers that are wrong, from 0 to 1.
    latency_ms
        Milliseconds to wait before each answer.
    """
    import asyncio

    from onethinker.demo.teacher.server import serve_until_stopped

    asyncio.run(serve_until_stopped(host, port, seed=seed, error_rate=error_rate, latency_ms=latency_ms))
