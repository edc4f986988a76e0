"""Lets PyPI's torchvision, built for CUDA, be imported beside a CPU build of torch.

Its operators do not load there, and the import fails over two of them, which nothing here uses. Declaring the two
without kernels makes the import succeed; calling them still fails.
"""

from functools import cache
from importlib import metadata
from typing import Any


@cache
def declare() -> Any:
    """Declare `nms` and `qnms` if torch is a CPU build and torchvision is not. Call it before torchvision's import."""
    import torch

    try:
        version = metadata.version("torchvision")
    except metadata.PackageNotFoundError:
        return None
    if "+cpu" not in torch.__version__ or "+cpu" in version:
        return None
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library  # kept alive by the cache: its definitions end with it
