"""The teacher's eyes: it is right about the world where it means to be, wrong at the rate asked, and never crashes."""

import base64
import json
import random
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer

from corpus.discovery import modules
from onethinker.demo.teacher.api import openai_chat
from onethinker.demo.teacher.content import ContentPart, MediaDecodeError, decode_content
from onethinker.demo.teacher.error_injection import inject_error
from onethinker.demo.teacher.fallback import fallback_answer
from onethinker.demo.teacher.measurements import MeasuredAnswer, Measurements
from onethinker.demo.teacher.pixel_model import PixelModel
from onethinker.demo.teacher.response import measure_answer
from onethinker.demo.world.question import WorldQuestion
from onethinker.demo.world.scenes import Scenes

SAMPLED_FPS = 2  # what an annotation run takes from a video


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    return Scenes(tmp_path_factory.mktemp("scenes"), seed=42, split="train")


@pytest.fixture(scope="module")
def questions(scenes: Scenes) -> dict[tuple[str, str], list[WorldQuestion]]:
    """Questions of every kind, at least eight of each problem type; scenes are shared, so this draws some 60 media."""
    found = defaultdict(list)
    for name, family in modules("onethinker.demo.world.questions").items():
        for number in range(24 if name.endswith("_qa") else 10):
            question = family.ask(scenes, number)
            found[question.problem_type, question.data_type].append(question)
    return found


@cache
def frames_of(path: Path) -> tuple[tuple[float, bytes], ...]:
    with av.open(str(path), "r") as container:
        frames = [(frame.time, frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)]
    kept = frames[:: 10 // SAMPLED_FPS]
    return tuple(
        (time_s, cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()) for time_s, pixels in kept
    )


def data_url(data: bytes, kind: str = "image/jpeg") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def picture_part(data: bytes) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url(data)}}


def asked(folder: Path, question: WorldQuestion, **more: Any) -> bytes:
    """The body of a chat request, with frames as an annotation run sends them: a time stamp before each."""
    if question.data_type == "image":
        content = [picture_part((folder / question.medium).read_bytes())]
    else:
        timed = frames_of(folder / question.medium)
        content = [part for time_s, data in timed for part in (text_part(f"[{time_s:.2f} s]"), picture_part(data))]
    options = "\n\nOptions:\n" + "\n".join(question.options) if question.options else ""
    content.append(text_part(question.text + options))
    messages = [{"role": "user", "content": content}]
    return json.dumps({"model": "local/pixels-1", "messages": messages, **more}).encode()


def answer_in(response: str) -> str | None:
    found = re.search(r"<answer>(.*)</answer>", response, re.DOTALL)
    return found[1] if found else None


def iou(a: list[float], b: list[float]) -> float:
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(across, 0) * max(down, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def rouge(a: str, b: str) -> float:
    scores = RougeScorer(["rouge1", "rouge2", "rougeL"]).score(a, b)
    return float(np.mean([score.fmeasure for score in scores.values()]))


def right(question: WorldQuestion, answer: str | None) -> bool:
    """Whether an answer is right beyond doubt, judged with none of the product's own scoring."""
    if answer is None:
        return False
    if question.problem_type in ("multiple choice", "numerical", "math", "OCR"):
        return answer == question.answer
    if question.problem_type == "regression":
        return abs(float(answer) - float(question.answer)) <= 0.05 * float(question.answer)
    if question.problem_type == "open-ended":
        return rouge(answer, question.answer) > 0.8
    given, gold = json.loads(answer), json.loads(question.answer)
    if set(given) != set(gold):
        return False
    times = [(gold["time"], given["time"])] if "time" in gold else []
    if times and isinstance(gold["time"], list):
        times = list(zip(gold["time"], given["time"], strict=True))
    boxes = [(gold["boxes"], given["boxes"])] if "boxes" in gold else []
    if boxes and isinstance(gold["boxes"], dict):
        if set(gold["boxes"]) != set(given["boxes"]):
            return False
        boxes = [(gold["boxes"][key], given["boxes"][key]) for key in gold["boxes"]]
    points = [
        np.hypot(*np.subtract(a, b))
        for name in ("positive_points", "negative_points")
        for a, b in zip(gold.get(name, []), given.get(name, []), strict=True)
    ]
    return (
        all(abs(a - b) <= 0.3 + 1e-9 for a, b in times)
        and all(iou(a, b) > 0.8 for a, b in boxes)
        and all(distance < 30 for distance in points)
    )


def respond(engine: PixelModel, raw: bytes, key: str | None = None) -> tuple[str, str, bool]:
    _, answered = engine.answer(openai_chat, raw, key)
    (reply,) = answered.replies
    return reply.text, reply.finish, reply.wrong


def test_it_is_right_about_every_kind_of_question(scenes: Scenes, questions: dict[Any, list[WorldQuestion]]) -> None:
    engine = PixelModel(error_rate=0.0)
    failures, kinds = defaultdict(list), Counter()
    for (problem_type, data_type), some in questions.items():
        for question in some:
            response, finish, wrong = respond(engine, asked(scenes.folder, question))
            assert finish == "stop"
            assert not wrong
            assert re.fullmatch(r"<think>.+</think><answer>.+</answer>", response, re.DOTALL), response
            kinds[problem_type] += 1
            if not right(question, answer_in(response)):
                failures[problem_type, data_type].append((question.text, question.answer, response))
    assert len(kinds) == 11
    assert min(kinds.values()) >= 8
    for (problem_type, data_type), failed in failures.items():
        assert len(failed) <= 0.1 * len(questions[problem_type, data_type]), (problem_type, data_type, failed)


@pytest.mark.slow
def test_an_error_rate_of_one_leaves_nothing_right(scenes: Scenes, questions: dict[Any, list[WorldQuestion]]) -> None:
    engine = PixelModel(error_rate=1.0)
    for kind, some in questions.items():
        responses = [
            respond(engine, asked(scenes.folder, question), f"{kind}{n}") for n, question in enumerate(some[:6])
        ]
        assert all(wrong for _, _, wrong in responses)
        still_right = [
            (question.answer, response)
            for question, (response, finish, _) in zip(some[:6], responses, strict=True)
            if finish == "stop" and right(question, answer_in(response))
        ]
        assert not still_right, kind


def test_the_share_of_wrong_replies_is_the_one_asked_for(
    scenes: Scenes, questions: dict[Any, list[WorldQuestion]]
) -> None:
    question = questions["numerical", "image"][0]
    raw = asked(scenes.folder, question)
    for model, expected in (("local/pixels-1", 0.2), ("local/pixels-mini", 1 - 0.8**3)):
        body = raw.replace(b"local/pixels-1", model.encode())
        engine = PixelModel(seed=3, error_rate=0.2)
        responses = [respond(engine, body, f"key-{n}") for n in range(200)]
        shown = sum(not right(question, answer_in(text)) or finish != "stop" for text, finish, _ in responses) / 200
        assert shown == sum(wrong for _, _, wrong in responses) / 200
        assert abs(shown - expected) < 0.1, model  # three standard deviations of 200 draws
    assert {finish for _, finish, _ in responses} == {"stop", "length"}
    assert any(answer_in(text) is None and finish == "stop" for text, finish, _ in responses), "some lack their tags"


def test_the_same_request_gets_the_same_reply_and_keys_seeds_and_bodies_change_it(
    scenes: Scenes, questions: dict[Any, list[WorldQuestion]]
) -> None:
    question = questions["numerical", "image"][0]
    raw = asked(scenes.folder, question)
    many = [f"key-{n}" for n in range(20)]
    first = [respond(PixelModel(1, 0.5), raw, key) for key in many]
    assert [respond(PixelModel(1, 0.5), raw, key) for key in many] == first
    assert [respond(PixelModel(2, 0.5), raw, key) for key in many] != first
    assert len({wrong for _, _, wrong in first}) == 2
    # With a key the body's `seed` does not matter, without one it does; an SDK's own retry keys are no keys.
    bodies = [asked(scenes.folder, question, seed=n) for n in range(20)]
    assert len({respond(PixelModel(1, 0.5), body, "one-key") for body in bodies}) == 1
    unkeyed = [respond(PixelModel(1, 0.5), body) for body in bodies]
    assert len({wrong for _, _, wrong in unkeyed}) == 2
    assert [
        respond(PixelModel(1, 0.5), body, f"stainless-python-retry-{n}") for n, body in enumerate(bodies)
    ] == unkeyed


def test_a_video_can_come_whole_or_as_frames(scenes: Scenes, questions: dict[Any, list[WorldQuestion]]) -> None:
    for question in questions["tracking", "video"][:3] + questions["temporal grounding", "video"][:3]:
        video = data_url((scenes.folder / question.medium).read_bytes(), "video/mp4")
        content = [{"type": "video_url", "video_url": {"url": video}}, text_part(question.text)]
        body = {"model": "pixels-1", "messages": [{"role": "user", "content": content}]}
        response, _, _ = respond(PixelModel(error_rate=0.0), json.dumps(body).encode())
        assert right(question, answer_in(response)), response


@pytest.mark.parametrize("stamp", ["[{:.2f} s]", "t={:.1f}s", "<{:.1f} seconds>", "Frame 3 at {:.2f}s:", "{:.2f} sec"])
def test_time_stamps_are_read_in_many_hands(stamp: str) -> None:
    picture = cv2.imencode(".png", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    parts = [
        part for time_s in (0.0, 0.5, 1.25) for part in (ContentPart(stamp.format(time_s)), ContentPart(image=picture))
    ]
    prompt = decode_content([*parts, ContentPart("When?")])
    assert [frame.time_s for frame in prompt.frames] == pytest.approx([0.0, 0.5, 1.25], abs=0.051)
    assert prompt.text == "When?" or "Frame 3" in stamp


def test_frames_without_stamps_are_a_second_apart_and_too_many_are_thinned() -> None:
    picture = cv2.imencode(".png", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    assert [frame.time_s for frame in decode_content([ContentPart(image=picture)] * 3).frames] == [0.0, 1.0, 2.0]
    many = decode_content([ContentPart(image=picture)] * 100).frames
    assert (len(many), many[0].time_s, many[-1].time_s) == (32, 0.0, 99.0)


FORMATS = {
    "Pick one.\nA. a dog\nB. a cat\nC. a hat": lambda answer: answer in "ABC",
    'Box? <answer>{"boxes": [1, 2, 3, 4]}</answer>': lambda answer: len(json.loads(answer)["boxes"]) == 4,
    'When? <answer>{"time": [1.5, 2.5]}</answer>': lambda answer: len(json.loads(answer)["time"]) == 2,
    'Who? <answer>{"time": [1, 2], "boxes": {"1": [1, 2, 3, 4]}}</answer>': lambda answer: (
        set(json.loads(answer)) == {"time", "boxes"} and isinstance(json.loads(answer)["boxes"], dict)
    ),
    'Follow. <answer>{"boxes": {"1": [1, 2, 3, 4]}}</answer>': lambda answer: "1" in json.loads(answer)["boxes"],
    'Mark. {"boxes": [], "positive_points": [], "negative_points": []}': lambda answer: (
        [len(points) for name, points in json.loads(answer).items() if name.endswith("points")] == [3, 3]
    ),
    "How many people? Answer with a number.": lambda answer: float(answer) >= 0,
    "What is going on here?": lambda answer: len(answer) > 5,
}


def noise(*size: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


@pytest.mark.parametrize("text", FORMATS)
@pytest.mark.parametrize(
    "pictures",
    [
        [],
        [noise(240, 320)],
        [noise(64, 64)] * 5,
        [cv2.imencode(".png", np.full((3, 900, 3), 7, np.uint8))[1].tobytes()],
    ],
    ids=["no picture", "noise", "five frames", "a thin stripe"],
)
def test_it_guesses_in_the_format_asked_for(text: str, pictures: list[bytes]) -> None:
    finding = measure_answer(decode_content([*(ContentPart(image=data) for data in pictures), ContentPart(text)]))
    answer = finding.answer if isinstance(finding.answer, str) else json.dumps(finding.answer)
    assert FORMATS[text](answer), answer
    assert finding.thoughts


@pytest.mark.parametrize("text", [
    "Find when this happens in the video: the red circle is moving.",
    "Please segment the red circle at the moment when it is largest.",
    "How far does the red circle move, in percent of the width of the image?",
    "Given the bounding box [0, 0, 0, 0] of the target object in the first frame, track this object in each frame.",
    "What does the red circle do?", "Describe the video.", "Describe the image.", "What value does the gauge show?",
    "Solve the equation on the card for x.", "What is the sum of the numbers that the video shows?",
    "How many red shapes are there in the image?", "Which of the shapes is the largest?",
])  # fmt: skip
@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_questions_of_the_world_about_other_pictures_are_guessed_at(text: str, count: int) -> None:
    finding = measure_answer(decode_content([*[ContentPart(image=noise(96, 128))] * count, ContentPart(text)]))
    assert finding.answer
    assert finding.thoughts


def test_real_photographs_and_videos_are_answered_in_format(shared: Path) -> None:
    root = shared / "data" / "real"
    rows = json.loads((root / "released" / "onethinker_rl_train.json").read_bytes())
    seen = set()
    for row in rows:
        kind = row["problem_type"], row["data_type"]
        paths = row.get("images") or row.get("videos")
        if kind in seen or not (root / paths[0]).is_file():
            continue
        seen.add(kind)
        if row["data_type"] == "image":
            parts = [ContentPart(image=(root / path).read_bytes()) for path in paths]
        else:
            parts = [ContentPart(video=(root / path).read_bytes()) for path in paths]
        truth = re.search(r"<answer>(.*)</answer>", row["answer"], re.DOTALL)[1]
        shape = f"Answer like {truth}" if truth.startswith("{") else "\n".join(row["options"])
        finding = measure_answer(decode_content([*parts, ContentPart(f"{row['problem_reserved_text']}\n{shape}")]))
        if isinstance(finding.answer, dict):
            assert set(finding.answer) == set(json.loads(truth)), kind
        else:
            assert not truth.startswith("{"), kind
    assert len(seen) >= 11


def test_a_guess_says_that_it_is_one() -> None:
    finding = fallback_answer(
        Measurements(
            decode_content([ContentPart(image=noise(96, 128)), ContentPart("Where is the cat? bounding box")])
        ),
        "no cat in sight",
    )
    assert finding.thoughts[0] == "No cat in sight."
    assert "guess" in finding.thoughts[-1]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (ContentPart(image=b""), "could not be read"),
        (ContentPart(image=b"GIF89a"), "could not be read"),
        (ContentPart(image=noise(64, 64)[:-400]), "could not be read: it is damaged"),
        (ContentPart(image=cv2.imencode(".png", np.zeros((9000, 9000), np.uint8))[1].tobytes()), "9000 x 9000 pixels"),
        (ContentPart(video=b"not a video"), "could not be read"),
        (ContentPart(video=b""), "could not be read"),
    ],
)
def test_what_cannot_be_opened_is_refused(part: ContentPart, message: str) -> None:
    with pytest.raises(MediaDecodeError, match=message):
        decode_content([part])


@pytest.mark.parametrize(
    ("kind", "answer", "options"),
    [
        ("letter", "A", {"A": "red", "B": "blue"}),
        ("number", "0", {}),
        ("number", "17", {}),
        ("number", "2.5", {}),
        ("number", r"$\frac{3}{2}$", {}),
        ("text", "Bakery", {}),
        ("text", "The red circle is at the top left.", {}),
        ("fields", {"boxes": [0, 0, 1000, 1000]}, {}),
        ("fields", {"time": [0.0, 0.4]}, {}),
        ("fields", {"time": [1.0, 2.0], "boxes": {}}, {}),
        (
            "fields",
            {"time": 0.5, "boxes": [1, 2, 30, 40], "positive_points": [[3, 4]], "negative_points": [[9, 9]]},
            {},
        ),
    ],
)
def test_a_mistake_always_changes_the_answer(kind: str, answer: Any, options: dict[str, str]) -> None:
    for number in range(40):
        finding = MeasuredAnswer(kind, answer, ["I looked."])
        wrong = inject_error(finding, random.Random(number), options)
        assert wrong.answer != answer
        assert finding.answer == answer
