"""Which exit status an exception of the compiler means; the packages below know nothing of exit statuses."""

from __future__ import annotations

from frontends import errors as model
from schedules.machine import UnknownMachineError
from schedules.tuning.database import RecordsError
from shiftc.exit_status import ExitStatus
from shiftc.zoo import UnknownNetwork
from tvm_passes.lowering.context import LoweringError
from tvm_passes.pipeline import DumpError, PassError
from tvm_passes.within_memory import MemoryLimitError

# The first class that fits decides: subclasses stand before their bases.
_STATUSES: tuple[tuple[type[Exception], ExitStatus], ...] = (
    (model.ModelFileError, ExitStatus.MODEL_NOT_FOUND),
    (model.NotOnnxError, ExitStatus.MODEL_NOT_ONNX),
    (model.TruncatedModelError, ExitStatus.MODEL_TRUNCATED),
    (model.MissingExternalDataError, ExitStatus.EXTERNAL_DATA_MISSING),
    (model.ExternalDataOutsideError, ExitStatus.EXTERNAL_DATA_OUTSIDE),
    (model.ModelTooNewError, ExitStatus.OPSET_UNKNOWN),
    (model.UnknownOpsetError, ExitStatus.OPSET_UNKNOWN),
    (model.UnsupportedOperatorError, ExitStatus.OPERATORS_UNSUPPORTED),
    (model.DynamicShapeError, ExitStatus.SHAPE_NOT_PINNED),
    (model.InputShapeError, ExitStatus.INPUT_SHAPES_WRONG),
    (model.ModelError, ExitStatus.MODEL_INVALID),
    (DumpError, ExitStatus.OUTPUT_UNWRITABLE),
    (PassError, ExitStatus.COMPILATION_FAILED),
    (MemoryLimitError, ExitStatus.MEMORY_EXCEEDED),
    (LoweringError, ExitStatus.COMPILATION_FAILED),
    (RecordsError, ExitStatus.RECORDS_UNREADABLE),
    (UnknownMachineError, ExitStatus.TARGET_UNKNOWN),
    (UnknownNetwork, ExitStatus.USAGE),
)


def status_of(error: BaseException) -> ExitStatus | None:
    """The exit status for an error of the compiler that the user can cause; None for any other error."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), None)
