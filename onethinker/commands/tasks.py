"""`onethinker tasks`: list the problem types."""

import pyarrow as pa

from onethinker.options import Format
from onethinker.output import show


def tasks(*, format: Format = "table") -> None:
    """List the problem types with an example answer of each.

    Example: `onethinker tasks`
    """
    from corpus.tasks import tasks as all_tasks

    rows = [
        {
            "problem_type": name,
            "version": task.version,
            "answer": task.reply_example,
            "about": (task.__doc__ or "").strip().split("\n")[0],
        }
        for name, task in all_tasks().items()
    ]
    show(pa.Table.from_pylist(rows), format)
