"""Every network is a valid ONNX model that onnxruntime runs, the same every time it is built."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from shiftc import zoo

onnxruntime.set_default_logger_severity(3)


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["output"], {"input": x})[0]


def random_input(model: onnx.ModelProto, seed: int = 0) -> np.ndarray:
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("name", zoo.names())
def test_valid_and_sane(name: str) -> None:
    model = zoo.build(name)
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]

    x = random_input(model)
    small = name.startswith("shiftresnet") or name == "compconv-vgg16"
    assert x.shape == ((1, 3, 32, 32) if small else (1, 3, 224, 224))
    first, second = run(model, x), run(model, random_input(model, seed=1))
    assert np.isfinite(first).all()
    assert 0.1 < first.std() < 30
    # Outputs that hardly depend on the input would hide errors from a comparison.
    assert np.abs(first - second).max() > 0.01 * np.abs(first).max()


def test_same_seed_same_bytes() -> None:
    def serialized(seed: int) -> bytes:
        return zoo.build("shufflenetv2-0.5", seed=seed).SerializeToString(deterministic=True)

    assert serialized(0) == serialized(0)
    assert serialized(0) != serialized(1)


@pytest.mark.parametrize("name", ["shiftresnet20", "shufflenetv2-0.5", "compconv-vgg16", "shiftvit-like"])
def test_batch(name: str) -> None:
    """A batch gives what its elements give one by one."""
    batched, single = zoo.build(name, batch=2), zoo.build(name)
    x = random_input(batched)
    expected = np.concatenate([run(single, x[:1]), run(single, x[1:])])
    np.testing.assert_allclose(run(batched, x), expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("batch", [0, -1])
def test_batch_below_one(batch: int) -> None:
    with pytest.raises(ValueError, match=f"batch must be at least 1, not {batch}"):
        zoo.build("shiftresnet20", batch=batch)


def test_names() -> None:
    names = zoo.names()
    assert len(set(names)) == len(names)
    assert {"shiftresnet110", "shiftnet-sc2", "shufflenetv2-1.5", "vargnet", "roll-like"} <= set(names)


def test_default_expansion_is_six() -> None:
    plain, suffixed = zoo.build("shiftresnet20"), zoo.build("shiftresnet20-e6")
    assert zoo.count(plain) == zoo.count(suffixed)


@pytest.mark.parametrize("function", [zoo.build, zoo.published])
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("shiftnet-d", "did you mean shiftnet-c, shiftnet-b, shiftnet-a?"),
        ("resnet-50", "did you mean resnet50"),
        ("shiftresnet20-e0", "did you mean shiftresnet20"),
        ("resnet50-e3", "did you mean resnet50"),
        ("%", "known: shiftresnet20, "),
    ],
)
def test_unknown_network(function: object, name: str, hint: str) -> None:
    with pytest.raises(zoo.UnknownNetwork) as error:
        function(name)  # type: ignore[operator]
    assert isinstance(error.value, KeyError)
    message = str(error.value)
    assert message.startswith(f"no network {name!r} in the zoo; ")
    assert hint in message
    assert "\n" not in message
