"""Whether two mathematical answers are the same, by the released graders and by our strict one.

math-verify limits its time with SIGALRM and our strict comparison its processor time with SIGVTALRM, but Python
delivers signals to the main thread only. In another thread math-verify raises, and the released reward then silently
falls back to another grader and scores differently. So what may need a signal runs in a main thread: this process's, if
we are in it (the filters' workers are), else that of a child process, one call at a time. Results are the same. The
child is killed if one answer takes longer than HARD_LIMIT_S: a signal cannot interrupt one long multiplication in C.
"""

import atexit
import contextlib
import json
import logging
import os
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

HARD_LIMIT_S = 20.0
STRICT_CPU_S = 1.0  # of processor time for one strict parse or comparison

_LETTER = re.compile(r"[A-Za-z]")
_INTEGER = re.compile(r"-?[1-9]\d{0,8}|0")
_DOLLARS = re.compile(r"\$[^$\n\\]*\d[^$\n\\]*\$")

# ---- the released graders -----------------------------------------------------------------------------------------


def released_choice_equal(answer: str, truth: str) -> bool:
    """mathruler's grade_answer, which the released reward asks about options. It lets sympy see the model's text."""
    if _LETTER.fullmatch(answer) and _LETTER.fullmatch(truth):
        return answer.lower() == truth.lower()  # the same result without 10 ms of sympy
    return bool(_in_main_thread("choice", answer, truth))


def released_math_equal(truth: str, answer: str) -> bool:
    """math-verify's verdict, mathruler's if math-verify fails, as in the released reward."""
    if _INTEGER.fullmatch(truth) and _INTEGER.fullmatch(answer):
        return truth == answer
    if truth == answer and _DOLLARS.fullmatch(truth):
        return True
    return bool(_in_main_thread("released", truth, answer))


@lru_cache(maxsize=20_000)
def _choice(answer: str, truth: str) -> bool:
    from mathruler.grader import grade_answer

    return bool(grade_answer(answer, truth))


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Any:
    from math_verify import parse

    return parse(text)


@lru_cache(maxsize=20_000)
def _released(truth: str, answer: str) -> bool:
    from math_verify import verify

    try:
        return bool(verify(_parsed(truth), _parsed(answer)))
    except Exception:  # as the released reward does, which must be equalled here
        return _choice(answer, truth)


# ---- the strict comparison ----------------------------------------------------------------------------------------


def strict_math_equal(truth: str, answer: str) -> str:
    """`equal`, `different`, or why that is unknown: `truth_unreadable`, `not_an_expression`, `math_timeout`.

    Each text is parsed whole as one LaTeX expression; nothing is searched for in it.
    """
    return str(_in_main_thread("strict", truth, answer) or "math_timeout")


@lru_cache(maxsize=4096)
def _parsed_whole(text: str) -> Any:
    from math_verify import LatexExtractionConfig, parse

    return parse(
        f"${text}$",
        extraction_config=[LatexExtractionConfig()],
        fallback_mode="no_fallback",
        extraction_mode="first_match",
        parsing_timeout=0,  # its limit is in wall time: on a busy machine verdicts would change
        raise_on_error=True,
    )


@lru_cache(maxsize=20_000)
def _strict(truth: str, answer: str) -> str:
    from math_verify import verify
    from math_verify.errors import TimeoutException  # a BaseException: an `except Exception` does not see it

    sides = []
    for text, missing in ((truth, "truth_unreadable"), (answer, "not_an_expression")):
        try:
            with _limit_cpu(STRICT_CPU_S):
                parsed = _parsed_whole(text)
        except TimeoutException:
            return "truth_unreadable" if text == truth else "math_timeout"
        except Exception:  # the parser and sympy raise exceptions of many kinds, all of which mean "no expression"
            parsed = []
        if not parsed:
            return missing
        sides.append(parsed)
    try:
        with _limit_cpu(STRICT_CPU_S):
            return "equal" if verify(*sides, timeout_seconds=0, raise_on_error=True) else "different"
    except TimeoutException:
        return "math_timeout"
    except Exception:  # likewise: sympy could not show that they are equal
        return "different"


@contextlib.contextmanager
def _limit_cpu(cpu_s: float) -> Iterator[None]:
    """Raise math-verify's TimeoutException in the block once this process has computed for `cpu_s` in it.

    Processor time and not wall time, so that verdicts do not depend on the load of the machine.
    """
    from math_verify.errors import TimeoutException

    def over(*_: object) -> None:
        raise TimeoutException(f"more than {cpu_s} s of processor time")

    for name in ("parser", "grader"):  # they warn that their own limit is off
        logging.getLogger(f"math_verify.{name}").setLevel(logging.ERROR)
    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


# ---- where it runs ------------------------------------------------------------------------------------------------

_GRADERS: dict[str, Callable[..., Any]] = {"choice": _choice, "released": _released, "strict": _strict}


def _in_main_thread(grader: str, *texts: str) -> Any:
    if threading.current_thread() is threading.main_thread():
        return _GRADERS[grader](*texts)
    return _child().ask(grader, *texts)


class _Child:
    """A Python process that grades one line at a time in its main thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)

    def ask(self, grader: str, *texts: str) -> Any:
        """The grader's answer; False if the process had to be killed."""
        with self._lock:
            process = self._process or self._start()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps([grader, *texts]).encode() + b"\n")
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], HARD_LIMIT_S)
            line = process.stdout.readline() if ready else b""
            if not line:
                self.stop()
                return False
            return json.loads(line)

    def _start(self) -> subprocess.Popen[bytes]:
        paths = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from corpus.answers.equivalence import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        return self._process

    def stop(self) -> None:
        """End the process; the next call starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


@cache
def _child() -> _Child:
    return _Child()


def serve() -> None:
    """Grade JSON lines [grader, text, …] from standard input onto standard output until it closes."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    with contextlib.redirect_stdout(sys.stderr):  # a library that prints must not write into the replies
        for line in sys.stdin:
            grader, *texts = json.loads(line)
            replies.write(json.dumps(_GRADERS[grader](*texts)) + "\n")
            replies.flush()
