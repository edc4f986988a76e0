"""Task keys: which rows share the moments of an estimator that normalises by task."""

from collections.abc import Callable, Sequence

CAPTION_FAMILIES = ("image captioning", "video captioning")


def released(problem_type: str, data_type: str | None = None, family: str | None = None) -> str:
    """The released scheme, 12 keys: the problem_type as it stands, segmentation alone split by image and video.

    As the released code has it: image QA and video QA share a key, captions share "open-ended", a spelling of its own
    ("Segmentation", "ocr") is a task of its own, and data_type matters in any case of letters.
    """
    kind = (data_type or "").lower()
    if problem_type == "segmentation" and kind in ("image", "video"):
        return f"segmentation/{kind}"
    return problem_type


def fine(problem_type: str, data_type: str | None = None, family: str | None = None) -> str:
    """The finer scheme: every problem_type split by data_type, and captions apart from open-ended questions.

    `family` is the sample's `task` column; captions are told by it, since their problem_type is "open-ended" too.
    """
    name = "caption" if family in CAPTION_FAMILIES else problem_type
    kind = (data_type or "").lower()
    return f"{name}/{kind}" if kind else name


SCHEMES: dict[str, Callable[[str, str | None, str | None], str]] = {"released": released, "fine": fine}


def task_keys(
    problem_types: Sequence[str],
    data_types: Sequence[str | None] | None = None,
    families: Sequence[str | None] | None = None,
    *,
    scheme: str = "released",
) -> list[str]:
    """The task key of each row by one of SCHEMES. Raises ValueError for an unknown scheme or columns unlike in length.

    The fine scheme cannot tell captions without `families` and then leaves them with the open-ended questions.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"unknown task key scheme '{scheme}'; known: {', '.join(sorted(SCHEMES))}")
    count = len(problem_types)
    columns = []
    for name, column in (("data_types", data_types), ("families", families)):
        if column is not None and len(column) != count:
            raise ValueError(f"{count} problem_types but {len(column)} {name}: there must be one for each row")
        columns.append([None] * count if column is None else column)
    key = SCHEMES[scheme]
    return [key(problem_type, data, family) for problem_type, data, family in zip(problem_types, *columns, strict=True)]
