"""Judge: a second model sees the question, the media and one trace, and says whether its reasoning holds.

It is asked once for every well-formed trace of the slice that is no judgement itself; the `params` of its own trace
name the one it judges, under `about`. Where a task answers in words it is shown the true answer too, and scores the
trace's by a rubric. See corpus/judge_prompt.py and the view `judgements`.
"""

from typing import Any

from annotators.modes import SHOWN
from corpus import judge_prompt
from corpus.task import Task
from corpus.tasks import tasks

_IN_WORDS = ", ".join(f"'{name}'" for name, task in tasks().items() if task.in_words)
COLUMNS = (*SHOWN, "about", "judged", "reference")
FROM = f"""(select s.*, t.trace_id as about, t.response as judged,
                   case when s.problem_type in ({_IN_WORDS}) then s.answer end as reference
            from samples s join traces t using (sample_id)
            where t.mode <> '{judge_prompt.MODE}' and t.answer is not null
              and (t.flag is null or t.flag = 'other_language'))"""
WHERE = "true"


def template(template: str, task: Task) -> str:
    """The judge's own prompt, or the user's if that has a place for the trace."""
    return template if "{judged}" in template else judge_prompt.template(task)


def fields(row: dict[str, Any], question: str) -> dict[str, str]:
    """The question, the response to judge, and the true answer where the judge may know it."""
    return {"question": question, "judged": row["judged"], "reference": row["reference"] or ""}
