"""judge: a language model's judgements by a rubric, as written by `annotators` (see corpus/judge_prompt.py).

Several judgements of one answer are averaged. An answer without one is `not_judged` and has no score; the next
verification tries again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from corpus import Corpus, judge_prompt
from corpus.errors import OneThinkerError
from filters.scorers import FreeTextAnswer, Score


@dataclass(frozen=True)
class Judge:
    """The mean judgement of each judged trace, by its id."""

    word: str
    judgements: dict[str, float]

    def scores(self, answers: Sequence[FreeTextAnswer]) -> list[Score]:
        """The mean judgement of each answer."""
        found = [self.judgements.get(answer.trace_id) for answer in answers]
        return [Score(None, reason="not_judged") if score is None else Score(score, raw=score) for score in found]


def open_scorer(rest: str, corpus: Corpus) -> Judge:
    """The judgements of the teacher that `rest` names, or of all. Raises OneThinkerError if none has a score."""
    rows = corpus.sql(
        """select trace_id, avg(score) from judgements
           where score is not null and (judge = $teacher or $teacher = '') group by 1""",
        {"teacher": rest},
    ).fetchall()
    if not rows:
        raise OneThinkerError(
            f"the corpus holds no judgement{f' of {rest}' if rest else ''} with a score; have answers judged with "
            "`onethinker annotate --mode judge --teacher P:MODEL`"
        )
    return Judge(f"judge:{rest or 'all'}@{judge_prompt.VERSION}", dict(rows))
