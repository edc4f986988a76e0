"""A small corpus with media, samples, traces and verdicts, made directly, for tests of what comes after."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from corpus import Corpus
from corpus.ids import sample_id_of, trace_id_of
from corpus.snapshots import Snapshot


def small_corpus(root: Path, rows: int = 6) -> Corpus:
    """A corpus of `rows` temporal and spatial grounding samples (images and videos by turns), a scored trace each."""
    corpus = Corpus.create(root / "corpus")
    with corpus.run("ingest", {"made": "by a test"}) as run, run.transaction("all") as tx:
        samples = [sample(corpus, root, i) for i in range(rows)]
        tx.append("samples", samples)
        traces = [trace(s, i) for i, s in enumerate(samples)]
        tx.append("traces", traces)
        tx.append("verdicts", [verdict(t, i) for i, t in enumerate(traces)])
    return corpus


def sample(corpus: Corpus, root: Path, i: int) -> dict[str, Any]:
    """Sample `i`: an image with a box to find when `i` is even, a video with a span when it is odd."""
    video = i % 2 == 1
    path = root / f"medium-{i}.{'mp4' if video else 'png'}"
    if video:
        write_video(path, 20, shade=i)
    else:
        Image.new("RGB", (40 + i, 30), (i, 2 * i, 3 * i)).save(path)
    medium = corpus.media.add(path)
    row: dict[str, Any] = {
        "task": "temporal grounding" if video else "spatial grounding",
        "problem_type": "temporal grounding" if video else "spatial grounding",
        "data_type": "video" if video else "image",
        "problem": f"<{'video' if video else 'image'}>Question {i}?",
        "options": [],
        "answer": '{"time": [0.5, 1.5]}' if video else '{"boxes": [10, 10, 500, 500]}',
        "media": [{k: getattr(medium, k) for k in ("kind", "sha256", "width", "height", "fps", "duration", "frames")}],
        "truth_origin": "human",
        "source": "made",
        "split": "train",
        "origin": {"file": "made.json", "row": i + 1, "key": str(i)},
    }
    return {"sample_id": sample_id_of({"truth": None, **row}), **row}


def trace(of: dict[str, Any], i: int, teacher: str = "p:m") -> dict[str, Any]:
    """A well-formed right response to a sample."""
    row = {
        "sample_id": of["sample_id"],
        "teacher": teacher,
        "mode": "blind",
        "attempt": 0,
        "response": f"<think>Because {i}.</think><answer>{of['answer']}</answer>",
        "answer": of["answer"],
        "cost_usd": None,
    }
    return {"trace_id": trace_id_of({"prompt_id": None, "params": None, **row}), **row}


def verdict(of: dict[str, Any], i: int, profile: str = "strict") -> dict[str, Any]:
    """Full marks for a trace."""
    return {
        "trace_id": of["trace_id"],
        "profile": profile,
        "verifier": "test@1",
        "format": 1.0,
        "structure": 0.0,
        "accuracy": 1.0,
        "reward": 1.0,
        "components": [("iou", 1.0)],
    }


def write_video(path: Path, frames: int, fps: int = 10, shade: int = 0) -> None:
    """A small H.264 video whose frames grow brighter."""
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(frames):
            picture = np.full((48, 64, 3), (i * 8 + shade) % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())


@contextmanager
def keep_scheduling() -> Iterator[None]:
    """Give this thread its scheduling policy back at the end of the block.

    SVT-AV1, if run by root, moves the thread that opens the encoder to real-time priority 99 (SCHED_FIFO), which every
    process started later inherits: from then on the test run starves all else on the machine, its own servers included.
    """
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def clip(path: Path, codec: str = "libx264", frames: int = 60, fps: int = 30) -> Path:
    """A 96 × 64 video of noise, whose frames do not compress away; skips the test if PyAV lacks the encoder."""
    import av
    import numpy as np

    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec} encoder to make the file with")
    rng = np.random.default_rng(0)
    with (
        keep_scheduling(),
        av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as out,
    ):
        stream = out.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _ in range(frames):
            shade = rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(shade, format="rgb24")))
        out.mux(stream.encode())
    return path


def frozen(corpus: Corpus, name: str = "small", rows_per_group: int | None = None, **more: Any) -> Snapshot:
    """Freeze every trace of a corpus, newest sample first, or the `picks` given."""
    picks = more.pop("picks", None)
    if picks is None:
        picks = corpus.sql("select sample_id, trace_id from traces order by sample_id desc").to_arrow_table()
    with pytest.MonkeyPatch.context() as patch, corpus.run("select", {}) as run:
        if rows_per_group:
            patch.setattr("corpus.snapshots.row_format.ROWS_PER_GROUP", rows_per_group)
        return corpus.snapshots.freeze(name, picks, profile="strict", recipe="steps: []\n", run=run, **more)
