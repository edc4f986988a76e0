"""The command line: one command, one file per verb in `onethinker/commands`, found by its name.

Results go to standard output, progress and errors to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage,
130 stopped by Ctrl-C or SIGTERM.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import cyclopts
import duckdb
from cyclopts import App
from rich.console import Console

from corpus import discovery
from corpus.code_version import code_version
from corpus.errors import OneThinkerError, UsageError


def build() -> App:
    """The application with a command for each file of the folder; commands import heavy modules when they run."""
    app = App(
        name="onethinker",
        help="Make, verify, version and train on multi-task visual reasoning data."
        "\n\nExample: `onethinker demo --out demo`",
        version=code_version,
        error_console=Console(stderr=True),
        help_format="markdown",
        suppress_keyboard_interrupt=False,  # `main` says how to continue
    )
    for name, module in discovery.modules("onethinker.commands").items():
        # The function, or the App with subcommands, that has the file's name.
        app.command(getattr(module, name), name=name.replace("_", "-"))
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. SIGTERM ends every command as Ctrl-C does."""
    with _sigterm_as_ctrl_c():
        return _run(sys.argv[1:] if arguments is None else list(arguments))


def _run(arguments: list[str]) -> int:
    try:
        result = build()(
            arguments,
            exit_on_error=False,
            result_action="return_value",
        )
        return result if isinstance(result, int) else 0
    except cyclopts.CycloptsError:  # already printed, with near names
        return 2
    except UsageError as error:
        return _failed(error, 2)
    except (OneThinkerError, duckdb.Error) as error:
        return _failed(error, 1)
    except KeyboardInterrupt as stop:
        words = str(stop) or "stopped; finished work is kept, and the same command continues from there"
        print(words, file=sys.stderr)
        return 130
    except RuntimeError as error:
        if str(error) != "Query interrupted":  # DuckDB's word for Ctrl-C
            raise
        return _failed(error, 130)
    except BrokenPipeError:  # `onethinker sql … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.strerror is None:
            raise
        paths = [str(path) for path in (error.filename, error.filename2) if path is not None]
        return _failed(": ".join([" → ".join(paths), error.strerror] if paths else [error.strerror]), 1)


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt in the main thread, unless somebody handles it already."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _failed(error: Exception | str, code: int) -> int:
    print(f"onethinker: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
