"""Which numbers a caller may give where a model takes indices: found while the model is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvm import relax

from frontends.converters.node import Expr, Limits

_VIEWS = frozenset(
    {"relax.expand_dims", "relax.flatten", "relax.permute_dims", "relax.reshape", "relax.squeeze"}
)


class CallerLimits:
    """Collects limits of values, as far as they are elements of inputs as the caller gave them."""

    def __init__(self) -> None:
        self._limits: dict[str, Limits] = {}

    def add(self, builder: Any, parameters: Mapping[Any, str], expr: Expr, limits: Limits) -> None:
        """Elements of `expr` keep within `limits`: one pair for all, or one for each position along its last
        axis.

        parameters: names of inputs by the variables they are. What is computed from inputs has no limits:
        its kernel takes the nearest index there is.
        """
        while expr not in parameters:
            call = builder.lookup_binding(expr) if isinstance(expr, relax.Var) else expr
            name = str(getattr(getattr(call, "op", None), "name", ""))
            if (name == "relax.astype" and "int" in str(call.args[0].ty.dtype)) or (
                name in _VIEWS and len(limits) == 1
            ):
                expr = call.args[0]
            else:
                return
        name = parameters[expr]
        known = self._limits.get(name, limits)
        if len(known) != len(limits):  # of the same input, as whole rows and as single numbers
            return
        self._limits[name] = tuple(
            (max(low, other_low), min(high, other_high))
            for (low, high), (other_low, other_high) in zip(known, limits, strict=True)
        )

    def of(self, name: str) -> Limits:
        """The limits of an input; none where any number will do."""
        return self._limits.get(name, ())
