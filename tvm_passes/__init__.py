"""Relax to Relax passes and the lowering to a program of kernels. Imports schedules, nothing of shiftc."""
