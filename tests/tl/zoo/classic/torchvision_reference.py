"""Write a network of torchvision, its weights and its logits: run where torchvision is installed.

    python torchvision_reference.py NAME OUTPUT.npz

The file has ``pixels`` (batch, height, width, 3) as the network sees them, ``logits``, and every
weight under torchvision's name. Weights are random, also those of normalisation.
"""

import sys
from typing import Any

import numpy as np
import torch


def import_torchvision() -> Any:
    # A torchvision that was built for GPUs cannot load its compiled operations beside a torch for
    # CPUs, and stops at these two; classification uses none of them.
    operations = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operations.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

    return torchvision


def main(name: str, output: str) -> None:
    try:
        import torchvision
    except RuntimeError:
        sys.modules.pop("torchvision", None)
        torchvision = import_torchvision()
    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(weights=None)
    pixels = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
                module.momentum = None  # the statistics are then the mean of what was seen
        # Statistics of real activations, so that logits are of the size that trained networks give.
        model.train()
        model(torch.randn(16, 3, 96, 64))
        logits = model.eval()(pixels)
    arrays = {key: value.numpy() for key, value in model.state_dict().items()}
    np.savez(output, pixels=pixels.permute(0, 2, 3, 1).numpy(), logits=logits.numpy(), **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
