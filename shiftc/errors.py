"""What can go wrong, one class for each exit status; every message is one line that says what and where."""

from __future__ import annotations

from typing import ClassVar

from shiftc.exit_status import ExitStatus


class ShiftcError(Exception):
    """Base of all errors a user can cause; `status` is the command line's exit status."""

    status: ClassVar[ExitStatus] = ExitStatus.INTERNAL


class TargetError(ShiftcError):
    """The target is not understood or does not exist."""

    status = ExitStatus.TARGET_UNKNOWN


class OperatorNotCompiledError(ShiftcError):
    """An operator was imported, and no kernel is found for it."""

    status = ExitStatus.COMPILATION_FAILED


class NoLinkerError(ShiftcError):
    """Neither a C compiler nor ziglang is there to link the library, or not the one that was chosen."""

    status = ExitStatus.NO_LINKER


class LinkError(ShiftcError):
    """The linker failed, or wrote something else than the library."""

    status = ExitStatus.LINKING_FAILED


class OutputError(ShiftcError):
    """A file or artifact cannot be written."""

    status = ExitStatus.OUTPUT_UNWRITABLE


class OutputClosedError(ShiftcError):
    """Whoever read what is printed has closed the pipe."""

    status = ExitStatus.OUTPUT_CLOSED


class TargetElsewhereError(ShiftcError):
    """The target's code cannot be executed on this machine."""

    status = ExitStatus.TARGET_ELSEWHERE


class TuningFailedError(ShiftcError):
    """Not one kernel could be measured."""

    status = ExitStatus.TUNING_FAILED


class ArtifactError(ShiftcError):
    """The artifact cannot be used; base of the five reasons."""

    status = ExitStatus.ARTIFACT_CORRUPTED


class ArtifactNotFoundError(ArtifactError):
    """There is no artifact at the path."""

    status = ExitStatus.ARTIFACT_NOT_FOUND


class ArtifactCorruptedError(ArtifactError):
    """A file of the artifact is missing or differs from what was written."""


class ArtifactVersionError(ArtifactError):
    """The artifact was written by another version of shiftc, TVM or its FFI."""

    status = ExitStatus.ARTIFACT_VERSION


class ArtifactTargetError(ArtifactError):
    """The artifact was compiled for a processor this machine does not have."""

    status = ExitStatus.ARTIFACT_TARGET


class ArtifactTooLargeError(ArtifactError):
    """The artifact needs more memory or threads than this machine has left."""

    status = ExitStatus.ARTIFACT_TOO_LARGE


class SessionClosedError(ShiftcError):
    """`Session.run` after `Session.close`."""


class InputError(ShiftcError):
    """What `Session.run` was given does not fit the signature; base of the four reasons."""

    status = ExitStatus.INPUT_NAME_WRONG


class InputNameError(InputError):
    """An input is missing or unknown."""


class InputShapeError(InputError):
    """An input has another shape than the signature says."""

    status = ExitStatus.INPUT_SHAPE_WRONG


class InputDtypeError(InputError):
    """An input has another dtype than the signature says."""

    status = ExitStatus.INPUT_DTYPE_WRONG


class OutputArrayError(InputError):
    """An array that shall receive an output is none, is read-only, or shares memory with another."""


class InputValueError(InputError):
    """An input holds an index that is out of bounds."""

    status = ExitStatus.INPUT_VALUE_WRONG


class InputFileError(ShiftcError):
    """A file of inputs cannot be read."""

    status = ExitStatus.INPUT_FILE_WRONG


class AffinityError(ShiftcError):
    """The cores asked for are not one for each thread of the program, or not there."""

    status = ExitStatus.AFFINITY_WRONG


class PeerError(ShiftcError):
    """A runtime to compare with is unknown or not installed."""

    status = ExitStatus.PEER_UNAVAILABLE
