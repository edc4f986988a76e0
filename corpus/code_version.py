"""The version of the code that writes: the package's, and the git commit where it runs from a checkout."""

import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path


@cache
def code_version() -> str:
    """`0.1.0`, or in a checkout `0.1.0+g0123456789ab`, with `.dirty` behind it if files differ from the commit."""
    version = metadata.version("onethinker")
    file = Path(__file__).resolve()
    git = ["git", "-C", str(file.parent)]
    describe = ["describe", "--always", "--dirty=.dirty", "--abbrev=12", "--match=", "--exclude=*"]
    try:
        tracked = subprocess.run([*git, "ls-files", "--error-unmatch", file.name], capture_output=True, check=False)
        described = subprocess.run([*git, *describe], capture_output=True, text=True, check=False)
    except OSError:
        return version
    return f"{version}+g{described.stdout.strip()}" if tracked.returncode == 0 and described.stdout.strip() else version
