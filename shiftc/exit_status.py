"""The numbers `shiftc` ends with: one for each class of failure, never reused."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit status of the command line; also carried by every `ShiftcError`."""

    SUCCESS = 0
    INTERNAL = 1
    """A fault in shiftc itself; `--debug` shows the traceback."""
    USAGE = 2
    """An unknown verb, flag or value."""

    MODEL_INVALID = 10
    """The model breaks a rule that has no status of its own."""
    MODEL_NOT_FOUND = 11
    MODEL_NOT_ONNX = 12
    MODEL_TRUNCATED = 13
    EXTERNAL_DATA_MISSING = 14
    EXTERNAL_DATA_OUTSIDE = 15
    """External data lies outside the model's folder."""
    OPSET_UNKNOWN = 16
    OPERATORS_UNSUPPORTED = 17
    SHAPE_NOT_PINNED = 18
    """A dynamic dimension is left; see `--input-shapes`."""
    INPUT_SHAPES_WRONG = 19
    """`--input-shapes` names an unknown input or contradicts the model."""

    TARGET_UNKNOWN = 20
    COMPILATION_FAILED = 21
    """A pass refused the module, or an operator has no kernel."""
    NO_LINKER = 22
    OUTPUT_UNWRITABLE = 23
    RECORDS_UNREADABLE = 24
    """The folder of tuning records holds none, or damaged ones."""
    TARGET_ELSEWHERE = 25
    """The target cannot be measured: this machine does not execute its code."""
    TUNING_FAILED = 26
    """Not one kernel could be measured."""
    MEMORY_EXCEEDED = 27
    """No program was found whose workspace keeps within `--max-memory`."""
    LINKING_FAILED = 28

    ARTIFACT_NOT_FOUND = 30
    """There is no artifact at the path."""
    ARTIFACT_CORRUPTED = 31
    ARTIFACT_VERSION = 32
    """Written by another version of shiftc or TVM."""
    ARTIFACT_TARGET = 33
    """Compiled for another processor."""
    ARTIFACT_TOO_LARGE = 34
    """It needs more memory or threads than this machine has left."""

    INPUT_NAME_WRONG = 40
    INPUT_SHAPE_WRONG = 41
    INPUT_DTYPE_WRONG = 42
    INPUT_FILE_WRONG = 43
    """The file of inputs is missing or is no .npz."""

    AFFINITY_WRONG = 44
    """`--affinity` does not name one core of this machine for each thread."""

    INPUT_VALUE_WRONG = 45
    """An input holds an index that is out of bounds."""

    PEER_UNAVAILABLE = 50
    """A runtime to compare with is unknown or not installed."""
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141
    """Whoever read stdout has closed it; the process ends by SIGPIPE, as others do."""
