"""Lets PyPI's torchvision, a CUDA build, import beside a torch for CPUs: its operators are declared before it asks.

Imported at the start of every process of that environment by torchvision_schemas.pth; torch is imported only where
torchvision is.
"""

import sys
from importlib.abc import MetaPathFinder


class DeclareOperators(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            self.library = torch.library.Library("torchvision", "FRAGMENT")
            self.library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            self.library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            KEPT.append(self.library)


KEPT = []
sys.meta_path.insert(0, DeclareOperators())
