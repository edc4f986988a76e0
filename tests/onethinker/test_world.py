"""The world: the same seed gives the same bytes, and what it says of its media is what they show."""

import json
import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from corpus.tasks import task
from onethinker.demo.world import write_world
from onethinker.demo.world.palette import COLOURS

PER_FAMILY = 6


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("world"), seed=0, per_family=PER_FAMILY).parent


@pytest.fixture(scope="module")
def rows(world: Path) -> list[dict[str, Any]]:
    return json.loads((world / "world_rl_train.json").read_bytes())


@pytest.fixture(scope="module")
def eval_rows(world: Path) -> list[dict[str, Any]]:
    return json.loads((world / "world_eval.json").read_bytes())


def body(row: dict[str, Any]) -> str:
    return re.fullmatch(r"<answer>(.*)</answer>", row.get("answer") or row["solution"], re.DOTALL)[1]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def frame_at(path: Path, time_s: float) -> np.ndarray:
    with av.open(str(path), "r") as container:
        frames = list(container.decode(video=0))
    assert [round(frame.time, 3) for frame in frames[:3]] == [0.0, 0.1, 0.2], "ten frames a second"
    return frames[round(10 * time_s)].to_ndarray(format="rgb24")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(world: Path, tmp_path: Path) -> None:
    assert files_of(write_world(tmp_path / "again", seed=0, per_family=PER_FAMILY).parent) == files_of(world)
    write_world(tmp_path / "other", seed=1, per_family=1)
    write_world(tmp_path / "small", seed=0, per_family=1)
    other, small = files_of(tmp_path / "other"), files_of(tmp_path / "small")
    assert all(other[name] != content for name, content in small.items())


def test_a_larger_world_begins_with_the_media_of_a_smaller_one(world: Path, tmp_path: Path) -> None:
    write_world(tmp_path, seed=0, per_family=2)
    large = files_of(world)
    media = {name: content for name, content in files_of(tmp_path).items() if not name.endswith(".json")}
    assert media
    assert all(large[name] == content for name, content in media.items())


def test_every_problem_type_family_and_data_type_is_there(rows: list[dict[str, Any]]) -> None:
    assert len(rows) == 10 * PER_FAMILY
    families = {task(row["problem_type"]).family({**row, "source": row["data_source"]}) for row in rows}
    assert len(families) == 10
    seen = {(row["problem_type"], row["data_type"]) for row in rows}
    both = ("multiple choice", "numerical", "regression", "math", "OCR", "open-ended", "segmentation")
    for_video = ("temporal grounding", "spatial-temporal grounding", "tracking")
    assert seen == {
        *((name, kind) for name in both for kind in ("image", "video")),
        *((name, "video") for name in for_video),
        ("spatial grounding", "image"),
    }


def test_rows_have_the_released_layout(
    world: Path, rows: list[dict[str, Any]], eval_rows: list[dict[str, Any]]
) -> None:
    for row in rows:
        token = f"<{row['data_type']}>"
        assert row["problem"] == token + row["problem_reserved_text"]
        assert row["problem"].count("<image>") + row["problem"].count("<video>") == 1
        (path,) = row[f"{row['data_type']}s"]
        assert (world / path).stat().st_size > 1000
        assert row["data_source"].startswith("world/")
        letters = [option[:3] for option in row["options"]]
        assert letters == ["A. ", "B. ", "C. ", "D. "][: len(letters)]
        assert bool(letters) == (row["problem_type"] == "multiple choice")
    for row in eval_rows:
        assert row["path"].startswith("./")
        assert (world / row["path"]).is_file()
        assert "answer" not in row
        assert "<" not in row["problem"]
    ids = [row["problem_id"] for row in rows + eval_rows]
    assert len(set(ids)) == len(ids)
    assert not {row["path"][2:] for row in eval_rows} & {row[f"{row['data_type']}s"][0] for row in rows}


@pytest.mark.parametrize("profile", ["paper", "strict"])
def test_the_true_answer_earns_full_marks(rows: list[dict[str, Any]], profile: str) -> None:
    for row in rows:
        gold = body(row)
        kind = task(row["problem_type"])
        assert kind.reward(gold, gold, profile=profile, data_type=row["data_type"]) == pytest.approx(1), row


def test_the_right_option_is_among_the_options(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["options"]:
            assert body(row) in [option[0] for option in row["options"]]
            assert len(set(row["options"])) == len(row["options"])


def test_boxes_hold_the_colour_that_the_question_names(world: Path, rows: list[dict[str, Any]]) -> None:
    checked = 0
    for row in rows:
        named = re.search(rf"the ({'|'.join(COLOURS)}) \w+", row["problem"])
        gold = json.loads(body(row)) if body(row).startswith("{") else {}
        if not named or "boxes" not in gold:
            continue
        if row["data_type"] == "image":
            shown = {0.0: gold["boxes"]}
        elif isinstance(gold["time"], list):
            shown = {float(second): box for second, box in gold["boxes"].items()}
        else:
            shown = {gold["time"]: gold["boxes"]}
        for time_s, box in shown.items():
            path = world / row[f"{row['data_type']}s"][0]
            pixels = np.asarray(Image.open(path)) if row["data_type"] == "image" else frame_at(path, time_s)
            height, width = pixels.shape[:2]
            x, y = (box[0] + box[2]) * width // 2000, (box[1] + box[3]) * height // 2000
            middle = pixels[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).mean(axis=0)
            assert np.abs(middle - COLOURS[named[1]]).max() < 40, (row["problem"], time_s)
            checked += 1
    assert checked >= 25


def test_a_visitor_is_there_within_its_span_and_not_outside(world: Path, rows: list[dict[str, Any]]) -> None:
    both = {}
    for row in rows:
        if row["problem_type"] == "spatial-temporal grounding" and "visible" in row["problem"]:
            gold = json.loads(body(row))
            box = next(iter(gold["boxes"].values()))
            colour = np.array(COLOURS[re.search(r"the (\w+) \w+ visible", row["problem"])[1]])
            start, end = gold["time"]
            for time_s, there in ((start - 0.1, False), (start, True), (end - 0.1, True), (end, False)):
                pixels = frame_at(world / row["videos"][0], time_s)
                x, y = (box[0] + box[2]) * pixels.shape[1] // 2000, (box[1] + box[3]) * pixels.shape[0] // 2000
                assert (np.abs(pixels[y, x] - colour).max() < 60) == there, (row["problem"], time_s)
                both[there] = True
    assert both == {True: True, False: True}


def test_segmentation_masks_agree_with_boxes_and_points(eval_rows: list[dict[str, Any]]) -> None:
    seen = set()
    for row in eval_rows:
        if row["problem_type"] != "segmentation":
            continue
        gold, output = json.loads(body(row)), row["segmentation_output"]
        rle = output["segmentation_rle"]
        if row["data_type"] == "video":
            assert output["frames"] == sorted(rle)
            assert row["fps"] == 10.0
            rle = rle[f"{round(gold['time'] * row['fps']):05}"]
        mask = coco.decode({"size": rle["size"], "counts": rle["counts"].encode()})
        width, height = row["resolution"]["width"], row["resolution"]["height"]
        assert mask.shape == (height, width)
        rows_on, columns_on = np.nonzero(mask)
        edges = (
            columns_on.min() / width,
            rows_on.min() / height,
            (columns_on.max() + 1) / width,
            (rows_on.max() + 1) / height,
        )
        assert gold["boxes"] == [round(1000 * edge) for edge in edges]
        for name, inside in (("positive_points", 1), ("negative_points", 0)):
            assert len(gold[name]) == 3
            for x, y in gold[name]:
                assert mask[min(y * height // 1000, height - 1), min(x * width // 1000, width - 1)] == inside
        seen.add(row["data_type"])
    assert seen == {"image", "video"}


def test_a_world_without_questions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs at least 1 question a family"):
        write_world(tmp_path, per_family=0)
