"""Task keys: the released twelve, spelled as the released code spells them, and the finer scheme."""

import re
from typing import Any

import pytest

from trainers.task_keys import SCHEMES, fine, released, task_keys

PROBLEM_TYPES = [
    *("multiple choice", "numerical", "regression", "math", "OCR", "open-ended"),
    *("temporal grounding", "spatial grounding", "spatial-temporal grounding", "tracking", "segmentation"),
]


def test_the_released_scheme_has_twelve_keys() -> None:
    keys = {released(problem_type, kind) for problem_type in PROBLEM_TYPES for kind in ("image", "video")}
    assert len(keys) == 12
    assert keys == {*PROBLEM_TYPES} - {"segmentation"} | {"segmentation/image", "segmentation/video"}


@pytest.mark.parametrize(
    ("problem_type", "data_type", "key", "odd"),
    [
        ("segmentation", "VIDEO", "segmentation/video", "data_type in capitals"),
        ("segmentation", "audio", "segmentation", "neither image nor video"),
        ("segmentation", "", "segmentation", "empty data_type"),
        ("segmentation", None, "segmentation", "no data_type"),
        ("segmentation", "video-image", "segmentation", "the evaluation files' third kind"),
        ("Segmentation", "video", "Segmentation", "capital letter: a task of its own"),
        ("segmentation ", "video", "segmentation ", "trailing space: a task of its own"),
        ("ocr", "image", "ocr", "small letters: not OCR"),
    ],
)
def test_odd_spellings_are_keyed_as_the_released_code_keys_them(
    problem_type: str, data_type: str | None, key: str, odd: str
) -> None:
    assert released(problem_type, data_type) == key, odd


@pytest.mark.parametrize(
    ("row", "key"),
    [
        (("math", "image", None), "math/image"),
        (("math", "Video", None), "math/video"),
        (("math", None, None), "math"),
        (("open-ended", "video", "video QA"), "open-ended/video"),
        (("open-ended", "video", "video captioning"), "caption/video"),
        (("open-ended", "image", "image captioning"), "caption/image"),
        (("segmentation", "image", "image segmentation"), "segmentation/image"),
    ],
)
def test_the_finer_scheme_splits_image_from_video_and_captions_from_questions(row: Any, key: str) -> None:
    assert fine(*row) == key


def test_columns_are_keyed_row_by_row() -> None:
    types, kinds = ["math", "segmentation"], ["image", "video"]
    assert task_keys(types, kinds) == ["math", "segmentation/video"]
    assert task_keys(types) == ["math", "segmentation"]
    assert task_keys(types, kinds, scheme="fine") == ["math/image", "segmentation/video"]
    assert task_keys([], scheme="fine") == []
    assert set(SCHEMES) == {"released", "fine"}


@pytest.mark.parametrize(
    ("arguments", "scheme", "words"),
    [
        ((["math"],), "coarse", "unknown task key scheme 'coarse'; known: fine, released"),
        ((["math"], []), "fine", "1 problem_types but 0 data_types: there must be one for each row"),
        ((["math"], None, ["a", "b"]), "fine", "1 problem_types but 2 families: there must be one for each row"),
    ],
)
def test_what_cannot_be_keyed_is_refused_by_these_words(arguments: Any, scheme: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        task_keys(*arguments, scheme=scheme)
