"""Where the installed `shiftc` begins: it can be interrupted at any time, and ends as other tools do.

Imports nothing of weight before signals are taken care of.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

_INTERRUPTED = 130


def entry_point() -> NoReturn:
    """Runs the command line of this process and ends with its exit status."""
    signal.signal(signal.SIGINT, _interrupt)
    try:
        from shiftc.cli.main import main
        from shiftc.exit_status import ExitStatus

        status = main(sys.argv[1:], os.environ)
    except KeyboardInterrupt:  # a second one, while the first was dealt with
        _say_interrupted()
        os._exit(_INTERRUPTED)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if status in (ExitStatus.OUTPUT_CLOSED, ExitStatus.OUTPUT_UNWRITABLE):
        _forget_stdout()
    if status == ExitStatus.OUTPUT_CLOSED:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    sys.exit(status)


def _interrupt(_signal: int, frame: FrameType | None) -> None:
    """Ends the process at once while modules are imported: what they make of an exception is not ours."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            _say_interrupted()
            os._exit(_INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt


def _say_interrupted() -> None:
    os.write(2, b"shiftc: error: interrupted\n")


def _forget_stdout() -> None:
    """Lets nothing be written at the end of the process that could not be written before."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
