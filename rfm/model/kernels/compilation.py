"""`torch.compile` layer by layer: language layers and tower blocks, which are all alike and share their compiled code.

Compiling the whole model would start anew wherever Python looks at values (placeholder checks, grids); one layer has
no such place. `Module.compile` works in place, so that names of parameters, checkpoints and wrappers stay as they are.
The first steps are slow, and so are the first ones with another length until lengths are taken as variable.
Source: https://docs.pytorch.org/tutorials/recipes/regional_compilation.html
"""

from __future__ import annotations

from typing import Any

from rfm.model.freeze import inner_model


def compile_layers(model: Any, backend: str = "inductor") -> int:
    """Compile every layer of a model, inside adapters or not; returns how many there are."""
    inner = inner_model(model)
    layers = [*inner.language_model.layers, *inner.visual.blocks]
    for layer in layers:
        layer.compile(backend=backend)
    return len(layers)
