"""How much the annotation engine costs over the bare SDK: requests a second, client CPU and memory per request.

    python -m benchmarks.annotate [--requests 5000] [--only text-64-0]

A provider on loopback, in a process of its own, answers after 0 or 50 ms. Against it run, each in a fresh process and
by turns: `bare`, asyncio with the official SDK on its aiohttp transport and a semaphore, keeping nothing; and `engine`,
`annotators.annotate` on a corpus, journal and lake commits included. CPU is the client process's own (user and system,
its decoders included), after imports and connecting. Absolute times depend on the machine; read the ratios.
`benchmarks.annotate_memory` says what the memory is made of.
"""

import argparse
import asyncio
import base64
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
REPLY_TEXT = (
    "<think>" + "I look at the picture and compare the options one by one. " * 12 + "</think><answer>A</answer>"
)
IMAGE_BYTES = 200_000
LARGE = (1500, 1800)  # pixels: over the cap, so that it is scaled and encoded anew
LOOK_EVERY_S = 0.05


def serve(delay_s: float) -> None:
    """The provider: answers every request alike; prints its port."""
    from aiohttp import web

    usage = {"prompt_tokens": 300, "completion_tokens": 200, "total_tokens": 500}
    message = {"role": "assistant", "content": REPLY_TEXT}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    whole = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}
    body = json.dumps(whole).encode()

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        if delay_s:
            await asyncio.sleep(delay_s)
        return web.Response(body=body, content_type="application/json")

    async def main() -> None:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())


def cpu_s() -> float:
    """Seconds of CPU that this process and its ended children took."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


@dataclass(frozen=True)
class Measurement:
    """What one side took: requests a second, client CPU for each, and peaks of memory in MB, its helpers' included."""

    rate: float
    cpu_ms: float
    peak_mb: float
    private_mb: float
    family_mb: float
    fifths_mb: list[float]


@contextmanager
def reported(requests: int) -> Iterator[None]:
    """Measure the block, and print one line of JSON for the parent: requests a second, CPU, peaks of memory in MB.

    `fifths_mb` are the peaks of private memory within each fifth of the run.
    """
    from benchmarks.usage import resident_mb, usage

    private: list[float] = []
    family = 0.0
    done = threading.Event()

    def look() -> None:
        nonlocal family
        while not done.wait(LOOK_EVERY_S):
            private.append(resident_mb()[1])
            if len(private) % 20 == 1:  # it reads all of /proc
                family = max(family, usage().peak_gb * 1024)

    watch = threading.Thread(target=look)
    watch.start()
    started, used = time.perf_counter(), cpu_s()
    yield
    seconds, cpu = time.perf_counter() - started, cpu_s() - used
    done.set()
    watch.join()
    peak = usage().main_gb * 1024  # ru_maxrss would be at least what the parent had when it forked
    measured = Measurement(
        rate=requests / seconds,
        cpu_ms=1000 * cpu / requests,
        peak_mb=peak,
        private_mb=max(private),
        family_mb=max(family, peak),
        fifths_mb=[max(private[len(private) * i // 5 :][: len(private) // 5 + 1]) for i in range(5)],
    )
    print(json.dumps(asdict(measured)), flush=True)


def bare(root: Path, requests: int, concurrency: int, kind: str) -> None:
    """What a careful script does: the SDK, its aiohttp transport, no retries, a semaphore, images read per request."""
    from corpus.tasks import task

    of = task("multiple choice")
    asyncio.run(asked(root, requests, concurrency, kind, lambda i: of.prompt(question(i))))


def floor(root: Path, requests: int, concurrency: int, kind: str) -> None:
    """The same with no line of ours in the process, for its memory."""
    asyncio.run(asked(root, requests, concurrency, kind, lambda i: f"{question(i)}" + "Think first. " * 40))


async def asked(root: Path, requests: int, concurrency: int, kind: str, prompt: Callable[[int], str]) -> None:
    from openai import AsyncOpenAI, DefaultAioHttpClient

    image = root.parent / "image.jpg"
    client = AsyncOpenAI(max_retries=0, http_client=DefaultAioHttpClient())
    gate = asyncio.Semaphore(concurrency)

    async def ask(i: int) -> None:
        async with gate:
            content: object = prompt(i)
            if kind == "image":
                url = "data:image/jpeg;base64," + base64.b64encode(image.read_bytes()).decode()
                content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": content}]
            messages = [{"role": "user", "content": content}]
            reply = await client.chat.completions.create(model="m", messages=messages, max_tokens=4096)  # type: ignore
            assert reply.choices[0].message.content

    await ask(0)
    with reported(requests):
        waiting: set[asyncio.Task[None]] = set()
        for i in range(requests):  # no more tasks at a time than are in flight: 50,000 at once would be memory
            waiting.add(asyncio.create_task(ask(i)))
            if len(waiting) >= 2 * concurrency:
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(waiting)
    await client.close()


def engine(root: Path, requests: int, concurrency: int, kind: str) -> None:
    """The same requests through `annotate`, durable, in a process like the command's."""
    from annotators import annotate
    from annotators.process_memory import frugal
    from corpus import Corpus

    with frugal(), Corpus.open(root) as corpus:
        annotate(corpus, teacher="openai:warm", limit=1)
        with reported(requests):
            done = annotate(corpus, teacher="openai:m", concurrency=concurrency, limit=requests)
        assert done.traces == requests, done


def verified(root: Path, requests: int, concurrency: int, kind: str) -> None:
    """And with the traces verified as they arrive, as the command does it without --no-verify."""
    from annotators import annotate
    from annotators.process_memory import frugal
    from corpus import Corpus
    from filters import LiveVerifier

    with frugal(), Corpus.open(root) as corpus:
        annotate(corpus, teacher="openai:warm", limit=1)
        with reported(requests), LiveVerifier(corpus) as verifier:
            annotate(corpus, teacher="openai:m", concurrency=concurrency, limit=requests, verifier=verifier)
        assert verifier.verified == requests


def question(i: int) -> dict[str, object]:
    """A sample's words, of the length that such questions have."""
    return {
        "problem": f"Question {i}: which of the four statements about the scene holds, seen from the left?",
        "data_type": "image",
        "options": [
            f"{letter}. the object numbered {i} stands {place}"
            for letter, place in zip("ABCD", ("in front", "behind", "to the left", "to the right"), strict=True)
        ],
    }


def make_corpus(root: Path, rows: int, kind: str) -> None:
    """A corpus of `rows` questions, with one image of 200 kB, one of too many pixels, or none."""
    from io import BytesIO

    import numpy as np
    from PIL import Image

    from corpus import Corpus
    from corpus.ids import digest

    corpus = Corpus.create(root)
    media = []
    if kind != "text":
        size = (900, 1000) if kind == "image" else LARGE
        noise = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
        for quality in range(5, 96, 5):
            out = BytesIO()
            Image.fromarray(noise).save(out, "JPEG", quality=quality)
            if out.tell() >= IMAGE_BYTES:
                break
        path = root.parent / "image.jpg"
        path.write_bytes(out.getvalue())
        media = [corpus.media.add(path).row()]
    for first in range(0, rows, 10_000):
        some = range(first, min(first + 10_000, rows))
        fixed = {"task": "image QA", "problem_type": "multiple choice", "answer": "A", "media": media, "source": "made"}
        corpus.append("samples", [{"sample_id": digest(i), **question(i), **fixed} for i in some])
    corpus.close()


def measure(what: str, requests: int, concurrency: int, kind: str, delay_s: float) -> Measurement:
    """Run one side in a fresh process against a fresh provider; returns what it reported."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "corpus"
        subprocess.run([sys.executable, __file__, "make", str(root), str(requests), kind], check=True)
        provider = subprocess.Popen(
            [sys.executable, __file__, "serve", str(delay_s)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert provider.stdout is not None
            url = f"http://127.0.0.1:{int(provider.stdout.readline())}/v1"
            env = os.environ | {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": url}
            command = [sys.executable, __file__, what, str(root), str(requests), str(concurrency), kind]
            done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
        finally:
            provider.kill()
            provider.wait()
        return Measurement(**json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", help="one setting, as text-64-0 or image-256-50")
    given = parser.parse_args()
    print("setting          req/s: bare engine  ratio   CPU ms: bare engine  ratio   peak MB: bare engine")
    for kind in ("text", "image"):
        for concurrency in (64, 256):
            for delay_ms in (0, 50):
                name = f"{kind}-{concurrency}-{delay_ms}"
                if given.only and given.only != name:
                    continue
                measured: dict[str, list[Measurement]] = {"bare": [], "engine": []}
                for _ in range(given.rounds):
                    for what, rounds in measured.items():
                        rounds.append(measure(what, given.requests, concurrency, kind, delay_ms / 1000))
                figures = ("rate", "cpu_ms", "peak_mb")
                rate, cpu, peak = (
                    [median(getattr(r, f) for r in rounds) for rounds in measured.values()] for f in figures
                )
                print(
                    f"{name:16} {rate[0]:11.0f} {rate[1]:6.0f} {rate[1] / rate[0]:6.2f} {cpu[0]:14.2f} "
                    f"{cpu[1]:6.2f} {cpu[1] / cpu[0]:6.2f} {peak[0]:15.0f} {peak[1]:6.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    roles = {"bare": bare, "floor": floor, "engine": engine, "verified": verified}
    if len(sys.argv) > 2 and sys.argv[1] in roles:
        roles[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    elif len(sys.argv) > 2 and sys.argv[1] == "serve":
        serve(float(sys.argv[2]))
    elif len(sys.argv) > 2 and sys.argv[1] == "make":
        make_corpus(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        main()
