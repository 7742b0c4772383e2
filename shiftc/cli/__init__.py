"""The command line: tvmc's verbs and flags where they exist. It parses and prints; `shiftc.driver` works."""

from shiftc.cli.main import main

__all__ = ["main"]
