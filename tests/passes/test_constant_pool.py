"""One blob for weights and tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tvm_passes.constant_pool import ALIGNMENT, ConstantPool

contents = arrays.arrays(
    st.sampled_from([np.float32, np.int32, np.uint8]), arrays.array_shapes(max_dims=3, max_side=9)
)


@given(st.lists(contents, max_size=6))
def test_every_array_is_found_where_it_was_put(stored: list[np.ndarray]) -> None:
    pool = ConstantPool()
    offsets = [pool.add(array) for array in stored]
    blob = pool.blob()
    assert blob.size % ALIGNMENT == 0
    for array, offset in zip(stored, offsets, strict=True):
        assert offset % ALIGNMENT == 0
        assert blob[offset : offset + array.nbytes].tobytes() == array.tobytes()


def test_equal_contents_are_stored_once() -> None:
    pool = ConstantPool()
    first = pool.add(np.arange(5, dtype=np.int32))
    other = pool.add(np.arange(6, dtype=np.int32))
    assert pool.add(np.arange(5, dtype=np.int32)) == first != other
    assert pool.blob().size == 2 * ALIGNMENT


def test_the_order_of_elements_is_c_order() -> None:
    pool = ConstantPool()
    transposed = np.arange(6, dtype=np.int32).reshape(2, 3).T
    offset = pool.add(transposed)
    assert pool.blob()[offset : offset + 24].view(np.int32).tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize("array", [np.float32(3), np.zeros((0, 3), np.float32)])
def test_numbers_and_empty_arrays(array: np.ndarray) -> None:
    pool = ConstantPool()
    assert pool.add(np.asarray(array)) == 0
    assert pool.blob().size == ALIGNMENT


def test_an_empty_pool_is_a_blob_all_the_same() -> None:
    assert ConstantPool().blob().tolist() == [0] * ALIGNMENT
