"""`onethinker score`: scores for a file of responses, without a corpus."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from corpus.errors import OneThinkerError

FAULTS_TOLD = 20


def score(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    profile: str = "strict",
    workers: int | None = None,
) -> int:
    """Score JSON lines of {response, ground_truth, data_type, problem_type}: the same lines come out, with numbers.

    Each line gets format, accuracy, structure_reward, overall and reason; other fields pass through, `options` and
    `truth` are used where a line has them. A number that is not finite is written as "NaN" or "Infinity", null is what
    could not be scored. Lines that cannot be read come out with the reason, are named on standard error, and make the
    exit code 1 once all others are done.

    Example: `echo '{"response": "<think>six of two</think><answer>12</answer>", "ground_truth": "12", "data_type": "image", "problem_type": "numerical"}' | onethinker score -`

    Parameters
    ----------
    file
        A file of JSON lines; `-` is standard input.
    profile
        The rules to score by: strict, or paper for the released reward exactly.
    workers
        How many processes to use; all processors when left out.
    """  # noqa: E501, an example has to be pasted whole
    from filters.jsonl import score_lines

    faults = 0

    def tell(fault: str) -> None:
        nonlocal faults
        faults += 1
        if faults <= FAULTS_TOLD:
            print(fault, file=sys.stderr)

    if file != "-" and not Path(file).is_file():
        raise OneThinkerError(f"no file {file}; name a file of JSON lines, or - for standard input")
    name = "standard input" if file == "-" else file
    with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as lines:
        for line in score_lines(lines, profile, name=name, on_fault=tell, workers=workers):
            sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
    if faults:
        more = f" ({faults - FAULTS_TOLD:,} more than told above)" if faults > FAULTS_TOLD else ""
        print(f"{name}: {faults:,} lines could not be read{more}; their reason is in the output", file=sys.stderr)
    return 1 if faults else 0
