"""The type of arrays whose element type is not known when type checking: weights, tables, tensors' values."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
