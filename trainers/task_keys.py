"""Task keys: the rows of one key share the moments of an estimator that normalises by task."""

from collections.abc import Callable, Sequence

CAPTION_FAMILIES = ("image captioning", "video captioning")


def released(problem_type: str, data_type: str | None = None, family: str | None = None) -> str:
    """The released scheme, 12 keys: the problem_type, with segmentation split by image and video.

    As in the released code, image QA and video QA share a key, captions share "open-ended", another spelling
    ("Segmentation", "ocr") is another task, and data_type is case-insensitive.
    """
    kind = (data_type or "").lower()
    if problem_type == "segmentation" and kind in ("image", "video"):
        return f"segmentation/{kind}"
    return problem_type


def fine(problem_type: str, data_type: str | None = None, family: str | None = None) -> str:
    """The finer scheme: every problem_type split by data_type, and captions apart from open-ended questions.

    `family` is the sample's `task` column, which distinguishes captions: their problem_type is "open-ended" too.
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
    """The task key of each row by one of SCHEMES. Raises ValueError for an unknown scheme or columns of unequal length.

    Without `families` the fine scheme cannot recognise captions, and counts them as open-ended.
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
