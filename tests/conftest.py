"""What every test may count on."""

from __future__ import annotations

from hypothesis import settings

# Examples take as long as the machine has time; a deadline would make tests depend on its load.
settings.register_profile("shiftc", deadline=None)
settings.load_profile("shiftc")
