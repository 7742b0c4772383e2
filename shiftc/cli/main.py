"""Parses arguments, runs a verb, turns exceptions into one line and an exit status."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

import click

from shiftc import __version__
from shiftc.cli.bench import bench
from shiftc.cli.compile import compile_
from shiftc.cli.inspect import inspect
from shiftc.cli.run import run
from shiftc.cli.terminal import Terminal
from shiftc.cli.tune import tune
from shiftc.cli.zoo import zoo
from shiftc.errors import OutputClosedError, ShiftcError
from shiftc.exit_status import ExitStatus


class Verbs(click.Group):
    """Where click would begin a line of its own when it is interrupted, this does not."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _InterruptedError from None


class _InterruptedError(Exception):
    """Ctrl-C within a verb."""


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="shiftc")
def shiftc() -> None:
    """Compile ONNX models of compact convolutional networks, run, time, tune and inspect them."""


for verb in (compile_, run, bench, tune, inspect, zoo):
    shiftc.add_command(verb)


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""Nobody reads files with these errors: wherever one comes from, it was being written."""


def main(args: Sequence[str], env: Mapping[str, str]) -> ExitStatus:
    """Runs the command line `args` (without the program's name); raises nothing."""
    terminal = Terminal.from_environment(env)
    try:
        with redirect_stdout(terminal.out.file):  # click prints help there
            shiftc.main(args=list(args), prog_name="shiftc", obj=terminal, standalone_mode=False)
        terminal.out.file.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        for line in error.format_message().splitlines():
            terminal.say(line)
        return ExitStatus.USAGE
    except click.ClickException as error:
        terminal.complain(error.format_message())
        return ExitStatus.USAGE
    except (KeyboardInterrupt, click.Abort, _InterruptedError):
        terminal.complain("interrupted")
        return ExitStatus.INTERRUPTED
    except OutputClosedError as error:
        return error.status
    except Exception as error:  # the one place that may not let anything through
        return _failure(error, terminal)
    return ExitStatus.SUCCESS


def _failure(error: Exception, terminal: Terminal) -> ExitStatus:
    if terminal.debug:
        terminal.err.print("".join(traceback.format_exception(error)), markup=False, soft_wrap=True)
    status = error.status if isinstance(error, ShiftcError) else _status_of_compiler_error(error)
    if status is not None:
        terminal.complain(str(error))
        return status
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        where = f" '{error.filename}'" if error.filename else ""
        terminal.complain(f"cannot write{where}: {error.strerror}")
        return ExitStatus.OUTPUT_UNWRITABLE
    hint = "" if terminal.debug else " (a fault in shiftc; --debug shows where)"
    terminal.complain(f"{_summary(error)}{hint}")
    return ExitStatus.INTERNAL


def _summary(error: Exception) -> str:
    """One line; what TVM says fills pages and means nothing to whoever reads it here."""
    modules = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__))
    if any(module.partition(".")[0] in ("tvm", "tvm_ffi") for module in modules):
        return f"{type(error).__name__} inside the compiler"
    return " ".join(f"{type(error).__name__}: {error}".split())


def _status_of_compiler_error(error: Exception) -> ExitStatus | None:
    """Loads the compiler, which `shiftc run` does without and which may not be installed."""
    try:
        from shiftc.failures import status_of
    except ImportError:
        return None
    return status_of(error)
