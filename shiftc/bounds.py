"""Types with limits: what a manifest may say. Beyond them nothing sensible lies, and no machine could follow
it.

msgspec checks them whenever a manifest is read.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

MOST_THREADS = 1024
"""Of a program; also what may be asked for."""

MOST_STEPS = 20_000
"""Of a program; networks have some hundred."""

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Bytes = Annotated[int, Meta(ge=0, le=2**47)]
"""A size in memory: no processor addresses more."""
Threads = Annotated[int, Meta(ge=1, le=MOST_THREADS)]
Ratio = Annotated[float, Meta(ge=0, le=1e12)]

Text = Annotated[str, Meta(max_length=2**20)]
Name = Annotated[str, Meta(min_length=1, max_length=2**16)]
Names = Annotated[tuple[Text, ...], Meta(max_length=2**16)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
"""A SHA-256 in hexadecimal."""

Shape = Annotated[tuple[Annotated[int, Meta(ge=0, le=2**40)], ...], Meta(max_length=32)]
_DTYPES = (
    r"bool|u?int(2|4|8|16|32|64)|float(16|32|64)|bfloat16"
    r"|float(4_e2m1fn|6_e2m3fn|6_e3m2fn|8_e4m3fn|8_e4m3fnuz|8_e5m2|8_e5m2fnuz|8_e8m0fnu)"
)
Dtype = Annotated[str, Meta(pattern=f"^({_DTYPES})$")]
"""Element types of inputs and outputs, by numpy's names and those of ml_dtypes."""
_Number = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Limits = Annotated[tuple[tuple[_Number, _Number], ...], Meta(max_length=2**16)]
"""The lowest and highest number: one pair for all elements, or one for each position along the last axis."""
Axis = Annotated[int, Meta(ge=0, le=31)]
