"""What a model class says about itself, and the list of all of them."""

from __future__ import annotations

import inspect
import math
import re
import zlib
from collections.abc import Callable
from typing import TypeVar

import attrs
import torch
from torch import nn

Shape = tuple[int, ...]
ModuleClass = TypeVar("ModuleClass", bound=type[nn.Module])


@attrs.frozen
class Model:
    """One entry of the catalogue.

    name:          of the class, in snake case; the file is `<name>.<exporter>.onnx`.
    build:         makes the module.
    inputs:        shape of every argument of `forward`, by name.
    outputs:       names given to what `forward` returns.
    shifts:        number of index maps that move something in space or time, after neighbouring
                   movement has been merged.
    folded:        True if every shift is expected to disappear into its neighbours, else a keyword
                   for what stands in the way (README.md lists them).
    dynamic_batch: the leading axis of every input is exported as the symbol `N`.
    custom_op:     the file holds a `shiftc` operator that only this project knows.
    same_as:       a model that computes the same function with the same weights.
    notes:         the class's docstring.
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: dict[str, Shape]
    outputs: tuple[str, ...]
    shifts: int
    folded: bool | str
    dynamic_batch: bool
    custom_op: bool
    same_as: str | None
    notes: str


CATALOGUE: list[Model] = []


def catalogued(
    *shape: int,
    inputs: dict[str, Shape] | None = None,
    outputs: tuple[str, ...] = ("y",),
    shifts: int = 0,
    folded: bool | str = True,
    dynamic_batch: bool = False,
    custom_op: bool = False,
    same_as: str | None = None,
) -> Callable[[ModuleClass], ModuleClass]:
    """Class decorator: enter the module into the catalogue. `shape` is that of the only input `x`."""

    def enter(module: ModuleClass) -> ModuleClass:
        CATALOGUE.append(
            Model(
                name=re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", module.__name__).lower(),
                build=module,
                inputs=inputs or {"x": shape},
                outputs=outputs,
                shifts=shifts,
                folded=folded,
                dynamic_batch=dynamic_batch,
                custom_op=custom_op,
                same_as=same_as,
                notes=" ".join(inspect.cleandoc(module.__doc__ or "").split()),
            )
        )
        return module

    return enter


def randomize(module: nn.Module) -> nn.Module:
    """Give the module random weights, drawn per tensor from a seed made of its name and shape.

    So a model's weights depend neither on other models nor on the order of construction, and two
    models that name their parameters alike hold the same ones. Frozen parameters (one-hot kernels)
    and integer buffers (offset tables) are left as they are.
    """
    for name, tensor in module.state_dict(keep_vars=True).items():
        if not tensor.is_floating_point() or (isinstance(tensor, nn.Parameter) and not tensor.requires_grad):
            continue
        generator = torch.Generator().manual_seed(zlib.crc32(f"{name}{tuple(tensor.shape)}".encode()))
        tensor.data = _draw(name, tensor.detach(), generator)
    return module.eval()


def _draw(name: str, tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Weights that keep activations near unit variance; norms with scales and means worth folding."""
    if name.endswith("running_var"):
        return 0.5 + torch.rand(tensor.shape, generator=generator)
    if name.endswith(("bias", "running_mean")):
        return 0.2 * torch.randn(tensor.shape, generator=generator)
    if tensor.dim() > 1:
        fan_in = tensor[0].numel()
        return torch.randn(tensor.shape, generator=generator) * math.sqrt(2.0 / fan_in)
    return 0.5 + torch.rand(tensor.shape, generator=generator)


def example_inputs(model: Model) -> dict[str, torch.Tensor]:
    """Reproducible random inputs, by name."""
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in model.inputs.items()}
