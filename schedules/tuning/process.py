"""A process whose crash costs nobody anything: functions are called in it, one at a time, with a time limit.

python -m schedules.tuning.process FD     the process itself, serving the connection FD
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from math import ceil
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeVar

Result = TypeVar("Result")

_ROOT = str(Path(__file__).parents[2])
_GRACE_SECONDS = 5.0
"""After which an overdue process ends itself, should nobody be left to end it."""


class CallError(Exception):
    """A call raised, crashed or did not return in time; the message says which.

    kind: name of the exception's class, `crash` or `timeout`.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class IsolatedProcess:
    """Started by the first call, and again by the first after a crash; ends with the `with` block."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._errors: IO[bytes] | None = None
        self.generation = 0
        """How many processes were started: what one kept in its memory is lost with it."""

    def __enter__(self) -> IsolatedProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        """Whether the next call goes to the process of the last."""
        return self._connection is not None

    def call(self, function: Callable[..., Result], *arguments: Any, seconds: float) -> Result:
        """`function(*arguments)` in the process; all of it must be picklable.

        Raises CallError when it raises, when the process dies, and after `seconds`.
        """
        connection = self._connection or self._start()
        try:
            connection.send_bytes(pickle.dumps((function, arguments, ceil(seconds + _GRACE_SECONDS))))
            if not connection.poll(seconds):
                self.stop()
                raise CallError("timeout", f"did not end within {seconds:g} seconds")
            failure, result = pickle.loads(connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise CallError("crash", self._obituary()) from error
        except BaseException:
            self.stop()
            raise
        if failure is not None:
            raise CallError(*failure)
        value: Result = result
        return value

    def stop(self) -> None:
        """Ends the process; the next call starts another."""
        for closable in (self._connection, self._errors):
            if closable is not None:
                closable.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._connection = self._errors = None

    def _start(self) -> Connection:
        connection, theirs = Pipe()
        path = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C is for us: the process ends with its connection
        )
        theirs.close()
        self._connection = connection
        self.generation += 1
        return connection

    def _obituary(self) -> str:
        """What the dead process died of."""
        assert self._process is not None and self._errors is not None
        code = self._process.wait()
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip().splitlines()
        self.stop()
        cause = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return f"the process died of {cause}" + (f": {words[-1][:200]}" if words and code > 0 else "")


def _serve(connection: Connection) -> None:
    while True:
        try:
            function, arguments, seconds = pickle.loads(connection.recv_bytes())
        except EOFError:
            return
        except Exception as error:  # what cannot be unpickled here is the call's failure
            connection.send_bytes(pickle.dumps((_failure(error), None)))
            continue
        signal.alarm(seconds)
        try:
            answer = pickle.dumps((None, function(*arguments)))
        except Exception as error:
            answer = pickle.dumps((_failure(error), None))
        signal.alarm(0)
        connection.send_bytes(answer)


def _failure(error: Exception) -> tuple[str, str]:
    kind = type(error).__name__
    return kind, " ".join(f"{kind}: {error}".split())[:300]


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
