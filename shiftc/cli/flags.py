"""Flags that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from shiftc.cli.terminal import Terminal
from shiftc.options import SHIPPED_RECORDS, ModelOptions, PassOptions

Verb = TypeVar("Verb", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


def _set_debug(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Terminal).debug = True


debug_flag = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_set_debug, help="Show the traceback of an error."
)


def joined(verb: Verb, *flags: Callable[[Verb], Verb]) -> Verb:
    """The verb with several flags, which its help lists in this order."""
    for flag in reversed(flags):
        verb = flag(verb)
    return verb


class Operators(click.ParamType):  # type: ignore[type-arg]
    """`DOMAIN::NAME`, the name of an operator."""

    name = "DOMAIN::NAME"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[str, str]:
        domain, separator, operator = str(value).rpartition("::")
        if not separator or not operator:
            self.fail(f"'{value}' is not DOMAIN::NAME", param, context)
        return domain, operator


class Cores(click.ParamType):  # type: ignore[type-arg]
    """Comma-separated numbers of cores."""

    name = "CORES"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if not all(part.isdecimal() for part in parts):
            self.fail(f"'{value}' is no list of cores like 0,1", param, context)
        return tuple(map(int, parts))


class AutoOffOr(click.ParamType):  # type: ignore[type-arg]
    """`auto` (None), `off` (1) or a number that is at least 1."""

    name = "auto|off|N"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> int | None:
        if value is None or isinstance(value, int):
            return value
        if value in ("auto", "off"):
            return None if value == "auto" else 1
        if not value.isdecimal() or int(value) < 1:
            self.fail(f"'{value}' is neither auto nor off nor a number of at least 1", param, context)
        return int(value)


def form_flags(verb: Verb) -> Verb:
    """Adds the flags that say how stages may be computed; see `form_options`."""
    return joined(
        verb,
        click.option(
            "--no-winograd",
            is_flag=True,
            help="Compute 3 x 3 convolutions directly: slower, more exact.",
        ),
        click.option("--no-pairing", is_flag=True, help="Never pair products: slower, more exact."),
        click.option(
            "--chain",
            type=AutoOffOr(),
            default="auto",
            show_default=True,
            help="Compute up to N stages tile by tile: with N as little memory as possible.",
        ),
        click.option(
            "--h-tiles",
            type=AutoOffOr(),
            default="auto",
            show_default=True,
            help="In how many tiles of rows chains are computed.",
        ),
        click.option(
            "--max-memory",
            type=click.IntRange(min=1),
            metavar="BYTES",
            help="The fastest program whose workspace takes no more.",
        ),
    )


def form_options(values: dict[str, Any]) -> PassOptions:
    """Takes the arguments that `form_flags` adds out of `values`."""
    return PassOptions(
        winograd=not values.pop("no_winograd"),
        pairing=not values.pop("no_pairing"),
        chain=values.pop("chain"),
        h_tiles=values.pop("h_tiles"),
        max_memory=values.pop("max_memory"),
    )


def model_flags(verb: Verb) -> Verb:
    """Adds `--target`, `--input-shapes` and `--shift-operator`; see `model_options`."""
    return joined(
        verb,
        click.option(
            "--target",
            default="host",
            show_default=True,
            help="host, TVM's JSON, or 'llvm -mcpu=znver4 -num-cores 2'.",
        ),
        click.option(
            "--input-shapes",
            metavar="SHAPES",
            help="Shapes of dynamic inputs, sizes of dimensions, or JSON: 'x:[1,3,224,224] N=8'.",
        ),
        click.option(
            "--shift-operator",
            "shift_operators",
            multiple=True,
            type=Operators(),
            help="Read this custom operator as shift, too.",
        ),
    )


def records_flags(verb: Verb) -> Verb:
    """Adds `--tuning-records` and `--no-tuning-records`; see `model_options`."""
    return joined(
        verb,
        click.option(
            "--tuning-records",
            type=PATH,
            metavar="DIR",
            help="Follow the records in this folder.  [default: those that come with shiftc]",
        ),
        click.option("--no-tuning-records", is_flag=True, help="Schedule every kernel by its defaults."),
    )


def model_options(
    model: Path,
    target: str,
    input_shapes: str | None,
    shift_operators: tuple[tuple[str, str], ...],
    threads: int = 1,
    tuning_records: Path | None = None,
    no_tuning_records: bool = False,
) -> ModelOptions:
    """Options from the values of `model_flags` and `records_flags`. Raises frontends' InputShapeError."""
    if tuning_records is not None and no_tuning_records:
        raise click.UsageError("--tuning-records and --no-tuning-records exclude each other")
    from frontends.input_shapes import parse_input_shapes

    return ModelOptions(
        model=model,
        target=target,
        input_shapes=parse_input_shapes(input_shapes) if input_shapes is not None else {},
        threads=threads,
        shift_operators=shift_operators,
        tuning_records=None if no_tuning_records else tuning_records or SHIPPED_RECORDS,
    )
