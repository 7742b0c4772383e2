"""Lifetimes overlaid in one memory."""

from hypothesis import given
from hypothesis import strategies as st

from tvm_passes.arena import Lifetime, allocate, most_alive_at_once

lifetimes = st.builds(
    lambda size, first, length: Lifetime(size, first, first + length),
    st.integers(0, 50),
    st.integers(0, 12),
    st.integers(0, 6),
)


@given(st.lists(lifetimes, max_size=20), st.sampled_from([1, 4, 64]))
def test_tensors_alive_together_are_apart(tensors: list[Lifetime], alignment: int) -> None:
    offsets, total = allocate(tensors, alignment)
    placed = list(zip(tensors, offsets, strict=True))
    assert all(offset % alignment == 0 for offset in offsets)
    assert total == max((offset + tensor.size for tensor, offset in placed), default=0)
    for index, (tensor, offset) in enumerate(placed):
        for other, there in placed[:index]:
            if tensor.overlaps(other):
                assert offset + tensor.size <= there or there + other.size <= offset


@given(st.lists(lifetimes, max_size=20))
def test_no_less_than_the_bound_and_no_more_than_the_sum(tensors: list[Lifetime]) -> None:
    _, total = allocate(tensors)
    assert most_alive_at_once(tensors) <= total <= sum(tensor.size for tensor in tensors)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_a_chain_takes_the_two_largest_neighbours(sizes: list[int]) -> None:
    """Every tensor is read by the step after the one that makes it, as in a plain network."""
    chain = [Lifetime(size, step, step + 1) for step, size in enumerate(sizes)]
    bound = max(a + b for a, b in zip(sizes, [*sizes[1:], 0], strict=True))
    assert most_alive_at_once(chain) == bound


def test_lifetimes_include_both_ends() -> None:
    assert Lifetime(1, 0, 2).overlaps(Lifetime(1, 2, 3))
    assert not Lifetime(1, 0, 2).overlaps(Lifetime(1, 3, 3))


def test_a_gap_is_used_again() -> None:
    tensors = [Lifetime(4, 0, 9), Lifetime(3, 0, 1), Lifetime(3, 2, 3), Lifetime(2, 4, 9)]
    assert allocate(tensors) == ([0, 4, 4, 4], 7)


def test_nothing_takes_no_memory() -> None:
    assert allocate([]) == ([], 0)
    assert most_alive_at_once([]) == 0


def test_the_most_that_is_alive_is_found_where_nothing_begins_last() -> None:
    tensors = [Lifetime(5, 0, 1), Lifetime(7, 1, 3), Lifetime(1, 2, 2), Lifetime(6, 3, 4)]
    assert most_alive_at_once(tensors) == 13


def test_breadth_first_where_size_first_leaves_a_hole() -> None:
    """The largest tensor comes first by size, and those of the fullest step find its place taken."""
    tensors = [Lifetime(2, 5, 6), Lifetime(2, 5, 5), Lifetime(2, 2, 5), Lifetime(3, 3, 3)]
    assert allocate(tensors)[1] == most_alive_at_once(tensors) == 6
