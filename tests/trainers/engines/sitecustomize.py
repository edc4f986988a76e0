"""On the path of an engine's processes on a machine without GPUs: torchvision can be imported there (see declare)."""

import sys
from importlib.abc import MetaPathFinder
from typing import Any


class BeforeTorchvision(MetaPathFinder):
    """Declares what torchvision lacks when somebody first looks for it."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            from trainers.torchvision_schemas import declare

            declare()


sys.meta_path.insert(0, BeforeTorchvision())
