"""The command line: one command, one file per verb in `onethinker/commands`, found by its name.

Results go to standard output, progress and errors to standard error. Exit codes: 0 done, 1 the thing asked for failed,
2 asked for wrongly, 130 stopped by Ctrl-C.
"""

import os
import sys
from collections.abc import Sequence

import cyclopts
import duckdb
from cyclopts import App
from rich.console import Console

from corpus import discovery
from corpus.code_version import code_version
from corpus.errors import OneThinkerError, UsageError


def build() -> App:
    """The application with every command of the folder; commands import what is heavy inside their functions."""
    app = App(
        name="onethinker",
        help="Make, verify, version and train on multi-task visual reasoning data."
        "\n\nExample: `onethinker demo --out demo`",
        version=code_version,
        error_console=Console(stderr=True),
        help_format="markdown",
    )
    for name, module in discovery.modules("onethinker.commands").items():
        # A file's verb is its function, or its App where there are verbs below it, of the file's name.
        app.command(getattr(module, name), name=name.replace("_", "-"))
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        result = build()(
            sys.argv[1:] if arguments is None else list(arguments),
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
    except KeyboardInterrupt:
        print("stopped; what was done is kept, and the same command goes on from there", file=sys.stderr)
        return 130
    except RuntimeError as error:
        if str(error) != "Query interrupted":  # DuckDB's word for Ctrl-C
            raise
        return _failed(error, 130)
    except BrokenPipeError:  # `onethinker sql … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.filename is None and error.strerror is None:
            raise
        return _failed(error, 1)


def _failed(error: Exception, code: int) -> int:
    print(f"onethinker: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
