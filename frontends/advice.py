"""What to do about operators that are not supported."""

from __future__ import annotations

from collections.abc import Collection

import onnx

from frontends.standard_domain import STANDARD_DOMAIN

RANDOM_OPERATORS = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)


def advice_on(operator: str, domain: str) -> str:
    """What to do about an operator that is not supported."""
    if domain != STANDARD_DOMAIN:
        return "define it as a function inside the model, or name it with --shift-operator if it is a shift"
    return next((advice for operators, advice in _ADVICE if operator in operators), _OTHERWISE)


def _operators_on(kind: str) -> frozenset[str]:
    """Operators of ONNX that take or give values of a kind: sequence, optional or string."""
    return frozenset(
        schema.name
        for schema in onnx.defs.get_all_schemas()
        if schema.domain == STANDARD_DOMAIN
        and any(
            all(kind in str(allowed) for allowed in parameter.types)
            for parameter in (*schema.inputs, *schema.outputs)
        )
    )


_OTHERWISE = "write it with other operators, or compute it outside the model"

_ADVICE: tuple[tuple[Collection[str], str], ...] = (
    (
        {"LSTM", "GRU", "RNN"},
        "split the model there, and compute recurrent layers outside",
    ),
    (
        {"If", "Loop", "Scan"},
        "export the model with constant conditions and counts, so that there is one flow of control",
    ),
    (
        {"Compress", "NonZero", "Unique"},
        "the shape of its result depends on data, compute it outside the model",
    ),
    (_operators_on("seq("), "only tensors are supported, replace the sequence by its tensors"),
    (_operators_on("optional("), "only tensors are supported, leave optional values away"),
    (_operators_on("string"), "only numbers are supported, treat strings outside the model"),
    (
        RANDOM_OPERATORS,
        "make random numbers inputs of the model",
    ),
)
