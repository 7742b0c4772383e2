"""shiftc compiles ONNX models of compact convolutional networks; data movement costs nothing.

```python
import shiftc

session = shiftc.load("resnet50.shiftc")
outputs = session.run({"x": x})
```

Importing this package imports neither TVM nor numpy; names are found when they are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shiftc.driver import compile_model, inspect_model, write_zoo
    from shiftc.errors import ShiftcError
    from shiftc.exit_status import ExitStatus
    from shiftc.options import CompileOptions
    from shiftc.runtime import Session, load

__version__ = "0.1.0"

_HOME = {
    "CompileOptions": "shiftc.options",
    "ExitStatus": "shiftc.exit_status",
    "Session": "shiftc.runtime",
    "ShiftcError": "shiftc.errors",
    "compile_model": "shiftc.driver",
    "inspect_model": "shiftc.driver",
    "load": "shiftc.runtime",
    "write_zoo": "shiftc.driver",
}

__all__ = [
    "CompileOptions",
    "ExitStatus",
    "Session",
    "ShiftcError",
    "__version__",
    "compile_model",
    "inspect_model",
    "load",
    "write_zoo",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'shiftc' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
