"""The rules that a draft must keep to become a sample; each has a stable reason word.

malformed              the reader could not make a draft of it (its `field` says where)
malformed_json, invalid_utf8, not_an_object, too_large, too_deep, number_out_of_range, lone_surrogate
                       the file itself is broken there: see corpus.json_record
unknown_problem_type   no task has that name
unknown_data_type      neither image, video nor video-image
data_type_mismatch     the media are not of the data type's kind
media_token_mismatch   the problem's <image> and <video> placeholders are not those of its media
answer_missing         there is neither an answer nor a truth that says it
answer_unreadable      its own task cannot read its answer
media_missing, media_outside_root, media_unreadable, media_timeout      see corpus.media
duplicate              the same sample, or the same response to it, came from another place before
"""

from collections.abc import Mapping
from functools import lru_cache

from corpus.errors import near
from corpus.scores import Unparsed
from corpus.sources import Draft, Reject
from corpus.task import Task

DATA_TYPES: dict[str, set[str]] = {"image": {"image"}, "video": {"video"}, "video-image": {"image", "video"}}
_ANSWERS_REMEMBERED = 1 << 16


def odd_sample(problem_type: str | None, data_type: str | None, tasks: Mapping[str, Task]) -> str | None:
    """What makes a row of `samples` useless to every command, which then skips it; None for a good one."""
    if problem_type not in tasks:
        return (
            f"unknown problem_type '{_shorten(problem_type)}'{near(problem_type, tasks)}"
            if problem_type
            else ("it has no problem_type")
        )
    if data_type not in DATA_TYPES:
        return (
            f"unknown data_type '{_shorten(data_type)}'{near(data_type, DATA_TYPES)}"
            if data_type
            else ("it has no data_type")
        )
    return None


def reject(draft: Draft, field: str, reason: str, detail: str) -> Reject:
    """The reject of a draft."""
    return Reject(row=draft.row, raw=draft.raw, share=draft.share, field=field, reason=reason, detail=detail)


def broken_rule(draft: Draft, tasks: Mapping[str, Task]) -> Reject | None:
    """A reject for the first rule that a draft breaks, the state of its media aside; None if it keeps them all."""
    if draft.problem_type not in tasks:
        detail = f"unknown problem_type '{_shorten(draft.problem_type)}'{near(draft.problem_type, tasks)}"
        return reject(draft, "problem_type", "unknown_problem_type", detail)
    if draft.data_type not in DATA_TYPES:
        detail = f"unknown data_type '{_shorten(draft.data_type)}'{near(draft.data_type, DATA_TYPES)}"
        return reject(draft, "data_type", "unknown_data_type", detail)
    kinds = {kind for kind, _ in draft.media}
    if kinds != DATA_TYPES[draft.data_type]:
        detail = f"data_type is '{draft.data_type}', the media are {', '.join(sorted(kinds)) or 'none'}"
        return reject(draft, "data_type", "data_type_mismatch", detail)
    if draft.placeholders:
        for kind in ("image", "video"):
            named, given = draft.problem.count(f"<{kind}>"), sum(k == kind for k, _ in draft.media)
            if named != given:
                detail = f"the problem has {named} <{kind}> for {given} {kind}(s)"
                return reject(draft, "problem", "media_token_mismatch", detail)
    if draft.answer is None:
        if draft.truth is None:
            return reject(draft, "answer", "answer_missing", "neither an answer nor a truth in its place")
    elif reason := _unreadable_reason(tasks[draft.problem_type], draft.answer, draft.data_type):
        detail = f"the task '{draft.problem_type}' cannot read this answer: {reason}"
        return reject(draft, "answer", "answer_unreadable", detail)
    return None


def _shorten(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"


@lru_cache(_ANSWERS_REMEMBERED)
def _unreadable_reason(task: Task, answer: str, data_type: str) -> str | None:
    try:
        task.parse(answer, data_type)
    except Unparsed as error:
        return error.reason
    return None
