"""`onethinker score`: score a file of responses, without a corpus."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from corpus.errors import OneThinkerError
from onethinker.options import Workers

PRINTED_FAULTS = 20


def score(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    profile: str = "strict",
    workers: Workers = None,
) -> int:
    """Score JSON lines of {response, ground_truth, data_type, problem_type}; prints the same lines with scores.

    Adds format, accuracy, structure_reward, overall and reason to each line; other fields pass through, and `options`
    and `truth` are used if present. Non-finite numbers are written as "NaN" or "Infinity"; null means not scored. A
    line that cannot be parsed gets a reason and is named on standard error; the exit code is then 1.

    Example: `echo '{"response": "<think>six of two</think><answer>12</answer>", "ground_truth": "12", "data_type": "image", "problem_type": "numerical"}' | onethinker score -`

    Parameters
    ----------
    file
        A file of JSON lines, or `-` for standard input.
    profile
        The reward profile: strict, or paper for exactly the released reward.
    workers
        Number of processes; by default one for each core.
    """  # noqa: E501, an example has to be pasted whole
    from filters.jsonl import score_lines

    faults = 0

    def report(fault: str) -> None:
        nonlocal faults
        faults += 1
        if faults <= PRINTED_FAULTS:
            print(fault, file=sys.stderr)

    if file != "-" and not Path(file).is_file():
        raise OneThinkerError(f"no file {file}; give a file of JSON lines, or - for standard input")
    name = "standard input" if file == "-" else file
    with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as lines:
        for line in score_lines(lines, profile, name=name, on_fault=report, workers=workers):
            sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
    if faults:
        more = f" ({faults - PRINTED_FAULTS:,} not shown above)" if faults > PRINTED_FAULTS else ""
        print(f"{name}: {faults:,} lines could not be parsed{more}; the output has the reasons", file=sys.stderr)
    return 1 if faults else 0
