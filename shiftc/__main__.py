"""`python -m shiftc` is `shiftc`."""

from shiftc.start import entry_point

entry_point()
