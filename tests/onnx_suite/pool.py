"""Cases judged by worker processes: a crash or an endless compilation is that case's verdict, no more."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO

from tests.onnx_suite.cases import Case

TIME_LIMIT = 120.0
"""Seconds for a case, from import to comparison."""
_STARTING = 60.0
"""Seconds more for the first case of a process, which imports the compiler."""

Verdict = tuple[str, str]
"""(kind, detail), see `judge`."""


def run_cases(
    cases: Iterable[Case],
    folder: Path,
    workers: int = 1,
    tell: Callable[[str, Verdict], None] = lambda *_: None,
) -> Mapping[str, Verdict]:
    """The verdict on each case, by name.

    folder: receives the cases' files. tell: is called with each verdict as it falls.
    """
    waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
    for case in cases:
        waiting.put(case)
    verdicts: dict[str, Verdict] = {}
    lock = threading.Lock()

    def work() -> None:
        worker = _Worker()
        while True:
            try:
                case = waiting.get_nowait()
            except queue.Empty:
                worker.end()
                return
            verdict = worker.judge(case, folder / case.name)
            with lock:
                verdicts[case.name] = verdict
                tell(case.name, verdict)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return dict(sorted(verdicts.items()))


class _Worker:
    """A process that judges cases, begun again after it has died."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.answers: queue.SimpleQueue[str] = queue.SimpleQueue()

    def judge(self, case: Case, folder: Path) -> Verdict:
        case.write(folder)
        (folder / "case.json").write_text(json.dumps({"rtol": case.rtol, "atol": case.atol}))
        limit = TIME_LIMIT
        if self.process is None:
            self.start()
            limit += _STARTING
        assert self.process is not None and self.process.stdin is not None
        try:
            print(folder, file=self.process.stdin, flush=True)
            answer = self.answers.get(timeout=limit)
        except queue.Empty:
            self.end(kill=True)
            return "timeout", f"not done after {TIME_LIMIT:.0f} s"
        except BrokenPipeError:
            answer = ""
        if not answer:
            status = self.process.wait()
            self.end()
            return "crash", f"the process ended with status {status}"
        kind, detail = json.loads(answer)
        return kind, detail

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.onnx_suite.judge"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.answers = queue.SimpleQueue()
        assert self.process.stdout is not None
        threading.Thread(target=_forward, args=(self.process.stdout, self.answers), daemon=True).start()

    def end(self, kill: bool = False) -> None:
        if self.process is not None:
            assert self.process.stdin is not None
            if kill:
                self.process.kill()
            self.process.stdin.close()
            self.process.wait()
            self.process = None


def _forward(lines: IO[str], answers: queue.SimpleQueue[str]) -> None:
    """Every line, then an empty one: the process has ended."""
    for line in lines:
        answers.put(line)
    answers.put("")
