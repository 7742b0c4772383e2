"""Timing beside other runtimes: in turns, in one process, medians, with the error and the machine's floor."""
