"""Runs artifacts. Imports none of the compiler: no frontends, passes, schedules, and not TVM's Python.

All it needs is apache-tvm-ffi and TVM's small runtime library.
"""

from shiftc.manifest import Signature, TensorSpec
from shiftc.runtime.memory import aligned_empty
from shiftc.runtime.profile import StepTime
from shiftc.runtime.session import Session, load

__all__ = ["Session", "Signature", "StepTime", "TensorSpec", "aligned_empty", "load"]
