"""stdout and stderr as a command writes to them: what goes wrong there is an error of its own, or nothing."""

from __future__ import annotations

import io
from typing import Any, TextIO

from shiftc.errors import OutputClosedError, OutputError


class Stream(io.TextIOBase):
    """A text stream that writes what its encoding has, and escapes of the rest."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._do("write", self._encodable(text))
        return len(text)

    def flush(self) -> None:
        self._do("flush")

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        if self._stream is None:
            raise io.UnsupportedOperation("fileno")
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._stream, "encoding", None) or "utf-8"

    def failed(self, error: OSError) -> None:
        """What a failure to write comes to."""
        raise NotImplementedError

    def _do(self, method: str, *arguments: Any) -> None:
        try:
            if self._stream is None:
                raise OSError("it is closed")
            getattr(self._stream, method)(*arguments)
        except OSError as error:
            self.failed(error)

    def _encodable(self, text: str) -> str:
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)


class Results(Stream):
    """stdout: raises OutputClosedError where nobody reads on, OutputError where it cannot be written."""

    def failed(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            raise OutputClosedError("nobody reads stdout any more") from error
        raise OutputError(f"cannot write to stdout: {error.strerror or error}") from error


class Remarks(Stream):
    """stderr: what cannot be written there cannot be said anywhere."""

    def failed(self, error: OSError) -> None:
        pass


def printable(text: str) -> str:
    """The text with escapes in place of what is no character: names must not move the cursor."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
