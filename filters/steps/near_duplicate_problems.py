"""near_duplicate_problems: keep one sample of those that ask nearly the same.

    - near_duplicate_problems: {threshold: 0.8, media: same}

Nearly is a Jaccard similarity of at least `threshold` between the questions' (and options') runs of five characters,
found by MinHash. With `media: same` only questions about the very same media are compared, since "When does the man
jump?" may well be asked of many clips; with `media: any` all are. The first sample by the seed stays.
Reason: near_duplicate_problem.
"""

import re
from typing import Literal

import pyarrow as pa
from pydantic import Field

from filters.candidates import Candidates
from filters.near_duplicates import find_near_texts
from filters.recipe import StepOptions

_PLACEHOLDER = re.compile(r"<(?:image|video)>")


class Options(StepOptions):
    """`threshold` is a Jaccard similarity; `media` says what is compared with what."""

    threshold: float = Field(default=0.8, gt=0.3, le=1)
    media: Literal["same", "any"] = "same"


def drops(candidates: Candidates, options: Options) -> pa.Table:
    """The traces of samples that ask nearly what another asks."""
    samples = candidates.samples(
        "problem || ' ' || array_to_string(coalesce(options, []), ' ') as asked, "
        "array_to_string(list_sort(list_transform(media, m -> m.sha256)), ' ') as media"
    )
    asked = [_PLACEHOLDER.sub(" ", text or "") for text in samples["asked"].to_pylist()]
    groups = samples["media"].to_pylist() if options.media == "same" else [""] * len(asked)
    near = find_near_texts(asked, groups, options.threshold)
    return candidates.traces_of(samples, [place is not None for place in near], "near_duplicate_problem")
