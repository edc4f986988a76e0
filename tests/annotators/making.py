"""Small corpora to annotate: multiple-choice questions about words, images and videos of our own drawing."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from corpus import Corpus
from corpus.ids import digest


def questions(root: Path, n: int, kinds: str = "t", media: int = 4, catalog: str | None = None) -> Corpus:
    """A corpus of `n` multiple-choice samples; `kinds` go round: t words only, i an image, v a video."""
    corpus = Corpus.create(root, catalog=catalog)
    made = {
        kind: [corpus.media.add(medium(root.parent, kind, i)).row() for i in range(media)]
        for kind in set(kinds) - {"t"}
    }
    rows = []
    for i in range(n):
        kind = kinds[i % len(kinds)]
        shown = [made[kind][i % media]] if kind in made else []
        rows.append(sample(i, shown))
        if len(rows) == 5000 or i == n - 1:
            corpus.append("samples", rows)
            rows = []
    return corpus


def sample(i: int, media: list[dict[str, Any]], **columns: Any) -> dict[str, Any]:
    """Sample `i`, a multiple-choice question whose right answer is B."""
    kind = media[0]["kind"] if media else "image"
    place = f"<{kind}>" if media else ""
    return {
        "sample_id": digest("sample", i),
        "task": "image QA",
        "problem_type": "multiple choice",
        "data_type": kind,
        "problem": f"{place}Question {i}: which one?",
        "options": ["A. this", "B. that"],
        "answer": "B",
        "media": media,
        "source": "made",
        "split": "train",
    } | columns


def medium(folder: Path, kind: str, i: int) -> Path:
    """An image file, or a video of three seconds at 10 fps that grows brighter."""
    if kind == "i":
        path = folder / f"{i}.png"
        Image.new("RGB", (64, 48), (i * 20, 90, 200)).save(path)
        return path
    return video(folder / f"{i}.mp4", shade=i)


def video(path: Path, seconds: float = 3.0, fps: int = 10, shade: int = 0, size: tuple[int, int] = (64, 48)) -> Path:
    """An H.264 video whose frames grow brighter."""
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for i in range(int(seconds * fps)):
            picture = np.full((size[1], size[0], 3), (i * 8 + shade) % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    return path
