"""OneThinker's released JSON: RL training, SFT (sharegpt messages) and evaluation files, lists or JSONL.

Layout    `messages` makes a record SFT, `path` evaluation (or Video-R1), `images`/`videos` RL
Answer    `answer` or `solution`, out of its <answer> tags; in SFT, that of the last assistant turn
Masks     an evaluation file's `segmentation_output`, `resolution` and `fps` become the sample's truth

The reader is more lenient than the published format, because released files are: it unwraps a box in a list of its own
and boxes listed second by second into the forms that the tasks have, strips white space around an answer, and takes
`data_type` in any case and with spaces around, as the released trainer does. An answer that is changed on the way stays
verbatim in the truth, under `as_released`.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import orjson

from corpus.json_stream import Broken, Row, rows
from corpus.response import ANSWER, END_ANSWER, THINK, block
from corpus.sources import Draft, Reject, TraceDraft

_ROLES = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "system": "system"}
_VIDEO_SUFFIXES = {".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".flv", ".wmv", ".mpg", ".mpeg", ".ts", ".gif"}
_NUMBER = re.compile(r"[-+]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?|[-+]?\.\d+")


class _MalformedError(Exception):
    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field, self.detail = field, detail


def read(path: str) -> Iterator[Draft | Reject]:
    """The records of one file, in order; one that is not an object or lacks a field is a reject with its reason."""
    name = PurePosixPath(path).name.split(".")[0]
    for row in rows(path):
        if isinstance(row, Broken):
            yield Reject(row=row.row, field=row.field, reason=row.reason, detail=row.detail, raw=row.raw)
            continue
        try:
            yield _sft(row, name) if {"messages", "conversations"} & row.value.keys() else _question(row, name)
        except _MalformedError as error:
            yield Reject(
                row=row.row,
                field=error.field,
                reason="malformed",
                detail=error.detail,
                raw=row.value,
                share=row.share,
                size=row.size,
            )


# -- RL and evaluation records -----------------------------------------------------------------------------------------


def _question(row: Row, name: str) -> Draft:
    value = row.value
    data_type = _text(value, "data_type").strip().lower()
    media = _media(value, data_type)
    truth = _masks(value)
    key = "solution" if "solution" in value and "answer" not in value else "answer"
    text = _text(value, key, may_be_empty=truth is not None)
    stripped = block(text) or ("" if ANSWER in text else text.strip())
    if not stripped and truth is None:
        raise _MalformedError(key, "there is nothing in the answer")
    answer = _in_our_form(stripped)
    released = _released_answer(text)
    if answer != released:
        truth = {**(truth or {}), "as_released": released}
    return Draft(
        row=row.row,
        raw=value,
        share=row.share,
        size=row.size,
        problem=_text(value, "problem"),
        problem_type=_text(value, "problem_type"),
        data_type=data_type,
        options=_options(value),
        answer=answer or None,
        media=media,
        placeholders="path" not in value,
        truth=truth,
        source=_text(value, "data_source") if value.get("data_source") is not None else name,
        key=_key(value),
        trace=_process(value, text),
    )


def _released_answer(text: str) -> str:
    """An answer field verbatim, without the tags if it is one answer block and nothing else."""
    body = text.removeprefix(ANSWER).removesuffix(END_ANSWER)
    return body if text == f"{ANSWER}{body}{END_ANSWER}" and END_ANSWER not in body else text


def _process(value: dict[str, Any], solution: str) -> TraceDraft | None:
    """The trace of a record of Video-R1's chain-of-thought file, whose thinking is in a field of its own."""
    thinking = value.get("process")
    return TraceDraft(response=thinking + solution) if isinstance(thinking, str) and THINK in thinking else None


def _media(value: dict[str, Any], data_type: str) -> tuple[tuple[str, str], ...]:
    if "path" in value:
        paths = [_text(value, key) for key in ("path", "additional_path") if value.get(key) is not None]
        if not paths:
            raise _MalformedError("path", "`path` is missing")
        if data_type == "video-image":
            return tuple(("video" if PurePosixPath(p).suffix.lower() in _VIDEO_SUFFIXES else "image", p) for p in paths)
        return tuple((data_type, path) for path in paths)
    found: list[tuple[str, str]] = []
    for key, kind in (("images", "image"), ("videos", "video")):
        given = value.get(key)
        paths = [given] if isinstance(given, str) else given or []
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise _MalformedError(key, f"`{key}` is not a list of paths")
        found += [(kind, path) for path in paths]
    if not found:
        raise _MalformedError("images", "no media: neither `images` nor `videos` nor `path` names any")
    return tuple(found)


def _masks(value: dict[str, Any]) -> dict[str, Any] | None:
    output = value.get("segmentation_output")
    if not output:
        return None
    if not isinstance(output, dict):
        raise _MalformedError("segmentation_output", "`segmentation_output` is not an object")
    rles = output.get("segmentation_rle", output)  # some files have the RLE there without a name
    masks: dict[str, Any]
    if _is_rle(rles):
        masks = {"rle": rles}
    elif isinstance(rles, dict) and rles and all(_is_rle(rle) for rle in rles.values()):
        fps = value.get("fps")
        if not isinstance(fps, int | float) or isinstance(fps, bool) or fps <= 0:
            raise _MalformedError("fps", f"masks of frames need their rate; `fps` is {fps!r}")
        masks = {"fps": float(fps), "frames": rles}
    else:
        raise _MalformedError("segmentation_output", "neither a COCO RLE nor one for each frame")
    return {"masks": masks} | ({"resolution": value["resolution"]} if value.get("resolution") else {})


def _is_rle(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("counts"), str | list)
        and isinstance(value.get("size"), list)
        and len(value["size"]) == 2
    )


def _in_our_form(answer: str) -> str:
    """The answer with `boxes` as the tasks have it: `[[…]]` unwrapped; with a time, a list keyed from its first second.

    [3rd-party loaders of the released files expect both; anything else is left for the task to judge.]
    """
    if "[[" not in answer.replace(" ", ""):
        return answer
    try:
        value = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return answer
    boxes = value.get("boxes") if isinstance(value, dict) else None
    if not isinstance(boxes, list) or not boxes or not all(isinstance(box, list) for box in boxes):
        return answer
    time = value.get("time")
    if isinstance(time, list):
        if not time or not isinstance(time[0], int | float):
            return answer
        value["boxes"] = {str(round(time[0]) + i): box for i, box in enumerate(boxes)}
    elif len(boxes) == 1:
        value["boxes"] = boxes[0]
    else:
        return answer
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # deeper than it writes
        return answer


# -- SFT records -------------------------------------------------------------------------------------------------------


def _sft(row: Row, name: str) -> Draft:
    value = row.value
    turns = _turns(value)
    roles = [role for role, _ in turns if role != "system"]
    if not roles or roles != ["user", "assistant"] * (len(roles) // 2):
        raise _MalformedError("messages", "user and assistant turns do not alternate up to an assistant's")
    system = [text for role, text in turns if role == "system"]
    *asked, (_, response) = [turn for turn in turns if turn[0] != "system"]
    problem = asked[0][1] if len(asked) == 1 else "\n\n".join(f"{role.title()}: {text}" for role, text in asked)
    if not response.strip():
        raise _MalformedError("messages", "the last assistant turn is empty")
    media = _media(value, "")
    released = block(response) or response.strip()
    kinds = {kind for kind, _ in media}
    data_type = "video-image" if len(kinds) == 2 else media[0][0]
    answer = _in_our_form(released)
    return Draft(
        row=row.row,
        raw=value,
        share=row.share,
        size=row.size,
        problem=problem,
        problem_type=problem_type_of(answer),
        data_type=data_type,
        answer=answer,
        media=media,
        truth={"as_released": released} if answer != released else None,
        truth_origin="model",
        source=_text(value, "data_source") if value.get("data_source") is not None else name,
        split="sft",
        key=_key(value),
        trace=TraceDraft(response=response, params={"system": "\n\n".join(system)} if system else {}),
        answered_by_trace=True,
    )


def _turns(value: dict[str, Any]) -> list[tuple[str, str]]:
    field = "messages" if "messages" in value else "conversations"
    turns = value[field]
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) for turn in turns):
        raise _MalformedError(field, f"`{field}` is not a list of turns")
    found = []
    for turn in turns:
        role, text = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
        if not isinstance(role, str) or role not in _ROLES or not isinstance(text, str):
            detail = f"a turn of role {repr(role)[:80]} with {type(text).__name__} as its content"
            raise _MalformedError(field, detail)
        found.append((_ROLES[role], text))
    return found


# Keys of an answer's object → its task; later rows are more specific.
_SHAPES = (
    ({"time": list}, "temporal grounding"),
    ({"boxes": list}, "spatial grounding"),
    ({"boxes": dict}, "tracking"),
    ({"time": list, "boxes": dict}, "spatial-temporal grounding"),
    ({"boxes": list, "positive_points": list, "negative_points": list}, "segmentation"),
)


def problem_type_of(answer: str) -> str:
    """The problem type that an answer's shape implies, for records that name none.

    Objects by their keys, one capital letter is multiple choice, a number is numerical, LaTeX is math, all else
    open-ended. Shape cannot separate regression from numerical or OCR from open-ended; the latter is assumed.
    """
    if answer.startswith("{"):
        try:
            value = orjson.loads(answer)
        except orjson.JSONDecodeError:
            return "open-ended"
        fitting = [name for keys, name in _SHAPES if all(isinstance(value.get(key), t) for key, t in keys.items())]
        return fitting[-1] if fitting else "open-ended"
    if re.fullmatch("[A-Z]", answer):
        return "multiple choice"
    if _NUMBER.fullmatch(answer):
        return "numerical"
    return "math" if re.search(r"\$.+\$|\\[a-zA-Z]+\{", answer, re.DOTALL) else "open-ended"


# -- fields ------------------------------------------------------------------------------------------------------------


def _text(value: dict[str, Any], field: str, *, may_be_empty: bool = False) -> str:
    text = value.get(field)
    if text is None and may_be_empty:
        return ""
    if not isinstance(text, str):
        raise _MalformedError(
            field, f"`{field}` is {'missing' if text is None else 'a ' + type(text).__name__}, not text"
        )
    if not text.strip() and not may_be_empty:
        raise _MalformedError(field, f"`{field}` is empty")
    return text


def _options(value: dict[str, Any]) -> tuple[str, ...] | None:
    options = value.get("options") or []
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise _MalformedError("options", "`options` is not a list of texts")
    return tuple(options) or None


def _key(value: dict[str, Any]) -> str | None:
    key = value.get("problem_id", value.get("id"))
    if key is not None and not isinstance(key, str | int | float):
        raise _MalformedError("problem_id", f"`problem_id` is a {type(key).__name__}, not text or a number")
    return None if key is None else str(key)
