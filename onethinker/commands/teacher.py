"""`onethinker teacher`: serve the local teacher."""


def teacher(
    *, port: int = 8765, host: str = "127.0.0.1", seed: int = 0, error_rate: float = 0.15, latency_ms: float = 0.0
) -> None:
    """Serve a teacher that needs no key: it speaks the OpenAI and Anthropic APIs and answers by looking at the pixels.

    It knows the shapes, signs and gauges of the demo's world, guesses at anything else, and is wrong on purpose at a
    seeded rate. Models: local/pixels-1, and local/pixels-mini, which errs more. Any key will do. Ctrl-C stops it.

    Example: `onethinker teacher --port 8765`

    Parameters
    ----------
    port
        Where to listen; 0 takes a free port.
    host
        The address to listen on.
    seed
        Decides which replies are wrong, and how.
    error_rate
        The share of replies that are wrong, from 0 to 1.
    latency_ms
        How long to wait before each reply, in milliseconds.
    """
    import asyncio

    from onethinker.demo.teacher.server import serve_until_stopped

    asyncio.run(serve_until_stopped(host, port, seed=seed, error_rate=error_rate, latency_ms=latency_ms))
