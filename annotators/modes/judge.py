"""Judge: a second model sees the question, the media and one trace, and says whether its reasoning holds.

It is asked once for every well-formed trace of the slice that is no judgement itself; the `params` of its own trace
name the one it judges, under `about`. Its answer is `sound` or the number of the first sentence that does not hold.
"""

from typing import Any

from annotators.modes import SHOWN

COLUMNS = (*SHOWN, "about", "judged")
FROM = """(select s.*, t.trace_id as about, t.response as judged from samples s join traces t using (sample_id)
           where t.mode <> 'judge' and t.answer is not null and (t.flag is null or t.flag = 'other_language'))"""
WHERE = "true"

_JUDGE = """{question}

Somebody answered the question above like this:
<response>
{judged}
</response>

Check the reasoning sentence by sentence against what you can see yourself. Does every sentence hold, and does the \
answer follow? Put your own check between <think> and </think>. Then answer with the one word sound, or with the \
number of the first sentence that does not hold, and write nothing outside the tags:
<think>your check</think><answer>sound</answer>"""


def template(template: str) -> str:
    """The judge's own prompt, or the user's if that has a place for the trace."""
    return template if "{judged}" in template else _JUDGE


def fields(row: dict[str, Any], question: str) -> dict[str, str]:
    """The question and the response to judge."""
    return {"question": question, "judged": row["judged"]}
