"""judge: a language model's judgements by a rubric, as `annotators` wrote them into the corpus (see corpus/judging.py).

Several judgements of one answer are averaged. An answer without one is `not_judged` and stays without a score; the next
verification looks again.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from corpus import Corpus, judging
from corpus.errors import OneThinkerError
from filters.scorers import Question, Score


@dataclass(frozen=True)
class Judge:
    """Judgements by the id of the trace that they judge."""

    word: str
    judgements: dict[str, list[float]]

    def scores(self, questions: Sequence[Question]) -> list[Score]:
        """The mean judgement of each answer."""
        found = [self.judgements.get(question.trace_id) for question in questions]
        return [Score(fmean(js), raw=fmean(js)) if js else Score(None, reason="not_judged") for js in found]


def open_scorer(rest: str, corpus: Corpus) -> Judge:
    """The judgements of the teacher that `rest` names, or of all; OneThinkerError where there is none."""
    rows = corpus.sql(
        """select params, answer from traces where mode = $mode and (teacher = $teacher or $teacher = '')
           order by trace_id""",
        {"mode": judging.MODE, "teacher": rest},
    ).to_arrow_reader(10_000)
    judgements: dict[str, list[float]] = defaultdict(list)
    for batch in rows:
        for row in batch.to_pylist():
            if found := judging.judged(row):
                judgements[found[0]].append(found[1])
    if not judgements:
        raise OneThinkerError(
            f"the corpus holds no judgement{f' of {rest}' if rest else ''}; have answers judged with "
            "`onethinker annotate --mode judge --teacher P:MODEL`"
        )
    return Judge(f"judge:{rest or 'all'}@{judging.VERSION}", dict(judgements))
