"""torchvision beside the CPU build of torch, as PyPI hands the two out together.

That torchvision was compiled against CUDA, its operators do not load, and merely importing it fails over two of them
that nothing here uses. Declaring the two, without kernels, lets it be imported; calling them would still fail.
"""

from functools import cache
from importlib import metadata
from typing import Any


@cache
def declare() -> Any:
    """Declare `nms` and `qnms` where torch is a CPU build and torchvision is not; must come before its first import."""
    import torch

    try:
        told = metadata.version("torchvision")
    except metadata.PackageNotFoundError:
        return None
    if "+cpu" not in torch.__version__ or "+cpu" in told:
        return None
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library  # kept by the cache: what it defines goes when it goes
