"""`python -m shiftc` is `shiftc`."""

from shiftc.cli import entry_point

entry_point()
