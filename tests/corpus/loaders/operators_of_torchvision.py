"""What torchvision's wheel lacks beside a CPU torch: the schemas of two operators that nothing here calls.

Imported first by the scripts of this folder; without it `import torchvision`, and all that imports it, fails there.
"""

import importlib.util
import os

import torch

os.environ.setdefault("DISABLE_VERSION_CHECK", "1")
if importlib.util.find_spec("torchvision") and not torch.cuda.is_available():
    LIBRARY = torch.library.Library("torchvision", "DEF")
    LIBRARY.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    LIBRARY.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
