"""What is wrong with a program, or why it cannot be interpreted."""

from __future__ import annotations

import attrs


@attrs.frozen
class Where:
    """Of a program, the step, the kernel that it invokes, and the tensor that is read or written."""

    step: str
    kernel: str
    tensor: str = ""
    index: str = ""

    def __str__(self) -> str:
        tensor = f", {self.tensor}{self.index}" if self.tensor else ""
        return f"{self.step}, kernel {self.kernel}{tensor}"


class ProgramError(Exception):
    """A planned program reads or writes what it must not; the message says where, and what."""

    def __init__(self, where: Where, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where
        self.what = what


class InterpretationError(Exception):
    """A program that cannot be interpreted: nothing is said about whether it is right."""
