"""Run Python files in one namespace, each one's output into FILE.out: the Python blocks of a page."""

import contextlib
import sys
from pathlib import Path

if __name__ == "__main__":
    names = {"__name__": "__main__"}
    for file in map(Path, sys.argv[1:]):
        with open(f"{file}.out", "w") as out, contextlib.redirect_stdout(out):
            exec(compile(file.read_text(), file, "exec"), names)
