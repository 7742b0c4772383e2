"""The benchmark of networks on a machine that is not idle: what it measures, and its table."""

from __future__ import annotations

from benchmarks.contention import PEERS, measure, table
from shiftc.bench.contestants import OURS, OURS_ALONE


def test_a_network_beside_a_busy_core() -> None:
    found = measure("shiftresnet20", "busy", rounds=1)
    runtimes = found["runtimes"]
    assert set(runtimes) == {OURS, OURS_ALONE, *PEERS}
    assert (found["busy"], found["back_to_back"], found["threads"]) == (1, False, 2)
    assert all(runtime["median_ms"] <= runtime["p90_ms"] for runtime in runtimes.values())
    assert all(runtimes[name]["error"] < 1e-4 for name in (OURS, OURS_ALONE))
    text = table("T", [{"network": "n", "mode": "busy", **found}])
    assert text.splitlines()[-1].startswith("| n | busy | ")


def test_the_table_compares() -> None:
    def runtime(median: float, failure: str | None = None) -> dict[str, object]:
        return (
            {"failure": failure} if failure else {"failure": None, "median_ms": median, "p90_ms": 2 * median}
        )

    runtimes = {OURS: runtime(1), OURS_ALONE: runtime(2), PEERS[0]: runtime(3), PEERS[1]: runtime(0, "no")}
    measurement = {"network": "n", "mode": "back to back", "runtimes": runtimes}
    text = table("T", [{**measurement, "ratios": {OURS_ALONE: 2.0, PEERS[0]: 3.0}}])
    assert "shiftc's, back to back: 3.00." in text
    cells = "1.000 | 2.000 | 2.000 | 4.000 | 3.000 | 6.000 | failed |  | 0.50 | 3.00"
    assert text.splitlines()[-1] == f"| n | back to back | {cells} |"
