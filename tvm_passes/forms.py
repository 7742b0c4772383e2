"""Forms of convolution that are faster than the sum of products, and less exact."""

from __future__ import annotations

import attrs


@attrs.frozen
class Forms:
    """Which of them may be taken, where they are modelled to pay.

    winograd: minimal filtering for 3 x 3 convolutions, see `lowering/winograd.py`.
    pairing:  two products as one product of sums, see `schedules/paired_products.py`.
    """

    winograd: bool = True
    pairing: bool = True


ANY_FORM = Forms()
