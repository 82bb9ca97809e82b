"""Runs at every start of Python under `make test-vllm`: vLLM looks at models in processes of its own.

The torchvision wheel of the package index does not load its operators beside a CPU torch, and then fails to
import for want of their schemas. Nothing here calls these operators, so the schemas are enough.
"""

import torch

SCHEMAS = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    SCHEMAS.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
