from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agegender.config import SEED
from agegender.errors import InvalidModelError
from agegender.images import read_image
from agegender.model.preprocessing import InputSpec, prepare
from agegender.model.tensors import save_weights
from agegender.pretraining.averaging import BATCH, average_with, estimate_statistics


def small_model(value: float) -> Any:
    import keras

    layers = [
        keras.Input((32, 32, 3)),
        keras.layers.BatchNormalization(name="conv1_bn"),
        keras.layers.BatchNormalization(name="conv2_bn"),
    ]
    model = keras.Sequential(layers, name="small")
    for variable in model.variables:
        variable.assign(np.full(variable.shape, value, "float32"))
    return model


def order_of_faces(files: list[Path]) -> list[int]:
    """The order in which the faces are drawn."""
    return pd.Series(range(len(files))).sample(len(files), random_state=SEED).tolist()


def test_a_mean_lies_between_both_sets_of_weights(tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    save_weights(small_model(4.0), start, dtype="float16", metadata={})
    model = small_model(0.0)
    average_with(model, start, 0.25)
    assert {float(value) for variable in model.variables for value in variable.numpy()} == {1.0}


def test_no_mean_is_taken_with_another_architecture(tmp_path: Path) -> None:
    import keras

    start = tmp_path / "start.safetensors"
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="other")])
    save_weights(other, start, dtype="float16", metadata={})
    with pytest.raises(InvalidModelError, match="of another architecture"):
        average_with(small_model(0.0), start, 0.5)


def test_statistics_become_those_of_the_faces(make_faces: Callable[..., Path]) -> None:
    files = sorted(make_faces(70).iterdir())
    spec = InputSpec(32)
    model = small_model(1.0)
    before = [layer.get_weights() for layer in model.layers]
    estimate_statistics(model, pd.DataFrame({"file": files}), spec, keep=("conv1",))

    first, second = model.layers
    assert all(map(np.array_equal, first.get_weights(), before[0]))
    # More than one batch, of different lengths, counts by its faces.
    pixels = np.stack([prepare(read_image(file), spec) for file in files]).astype("float32")
    values = first(pixels, training=False).numpy()
    np.testing.assert_allclose(second.moving_mean.numpy(), values.mean((0, 1, 2)), rtol=1e-3)
    parts = np.split(values[order_of_faces(files)], [BATCH])
    variance = sum(len(part) / 70 * part.var((0, 1, 2)) for part in parts)
    np.testing.assert_allclose(second.moving_variance.numpy(), variance, rtol=1e-3)
    assert (first.trainable, second.trainable, second.momentum) == (True, True, 0.99)
    np.testing.assert_array_equal(second.gamma.numpy(), before[1][0])
