"""`onethinker teacher`: serve the local teacher."""

import asyncio
import signal

from onethinker.teacher.server import checked, start


def teacher(
    *, port: int = 8765, host: str = "127.0.0.1", seed: int = 0, error_rate: float = 0.15, latency_ms: float = 0.0
) -> None:
    """Serve a teacher that needs no key: it speaks the OpenAI and Anthropic APIs and answers by looking at the pixels.

    It knows the shapes, signs and gauges of the demo's world, guesses at anything else, and is wrong on purpose at a
    seeded rate. Models: `local/pixels-1`, and `local/pixels-mini`, which errs more. Ctrl-C stops it.

    Example:

        onethinker teacher --port 8765

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
    asyncio.run(_serve(host, port, seed, error_rate, latency_ms))


async def _serve(host: str, port: int, seed: int, error_rate: float, latency_ms: float) -> None:
    runner, server = await start(checked(seed, error_rate, latency_ms), host, port)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    print(f"export OPENAI_BASE_URL={server.openai_base_url} OPENAI_API_KEY=local", flush=True)
    print(f"export ANTHROPIC_BASE_URL={server.anthropic_base_url} ANTHROPIC_API_KEY=local", flush=True)
    try:
        await stop.wait()
    finally:
        await runner.cleanup()
