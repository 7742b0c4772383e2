"""Planned programs, executed in numpy and checked on the way: see `run`."""

from .errors import InterpretationError, ProgramError
from .run import run_program
from .verify import verify_program

__all__ = ["InterpretationError", "ProgramError", "run_program", "verify_program"]
