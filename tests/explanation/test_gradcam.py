"""Heatmaps point at what an answer rests on, each head's at its own."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from agegender.explanation import gradcam
from agegender.explanation.gradcam import Explainer, explain, heatmap_layer, sanity_check
from agegender.model.architecture import build_model

SIZE = 32
CELLS = 8


@pytest.fixture(scope="module")
def two_colour_model() -> Any:
    """A model whose age rests on red and blue, and whose gender rests on green.

    Its convolution passes the colours on in 8 x 8 cells: red raises the age, blue
    lowers it, green speaks for female.
    """
    import keras
    from keras import layers

    inputs = keras.Input((SIZE, SIZE, 3), name="rgb")
    cells = layers.Conv2D(3, SIZE // CELLS, SIZE // CELLS, use_bias=False, name="conv")(inputs)
    pooled = layers.GlobalAveragePooling2D()(cells)
    outputs = {
        "age": layers.Dense(1, name="age")(pooled),
        "gender": layers.Dense(2, activation="softmax", name="gender")(pooled),
    }
    model = keras.Model(inputs, outputs)
    kernel = np.zeros((4, 4, 3, 3), np.float32)
    for channel in range(3):
        kernel[:, :, channel, channel] = 1 / 16
    model.get_layer("conv").set_weights([kernel])
    model.get_layer("age").set_weights([np.array([[1.0], [0.0], [-1.0]]), np.array([40.0])])
    # Logits far apart: after the softmax their gradients would be all but zero.
    model.get_layer("gender").set_weights(
        [np.array([[0.0, 0.0], [-5.0, 5.0], [0.0, 0.0]]), np.array([-50.0, 50.0])]
    )
    return model


@pytest.fixture(scope="module")
def random_model() -> Any:
    """A small network with random weights: two convolutions, a trunk, two heads."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3), name="rgb")
    hidden = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    hidden = layers.Conv2D(16, 5, 2, padding="same", activation="relu", name="conv1_out")(hidden)
    hidden = layers.Conv2D(24, 3, 2, padding="same", activation="relu", name="conv2_out")(hidden)
    trunk = layers.Dense(16, activation="relu", name="dense_16")(
        layers.GlobalAveragePooling2D()(hidden)
    )
    outputs = {
        "age": layers.Dense(1, name="age")(trunk),
        "gender": layers.Dense(2, activation="softmax", name="gender")(trunk),
    }
    return keras.Model(inputs, outputs)


def face(**squares: tuple[int, int]) -> np.ndarray:
    """A black picture with a 4 x 4 square of a colour in each given cell."""
    rgb = np.zeros((SIZE, SIZE, 3), np.uint8)
    for color, (row, column) in squares.items():
        channel = ("red", "green", "blue").index(color)
        rgb[row * 4 : row * 4 + 4, column * 4 : column * 4 + 4, channel] = 200
    return rgb


def strongest(heatmap: np.ndarray) -> tuple[int, int]:
    row, column = np.unravel_index(np.abs(heatmap).argmax(), heatmap.shape)
    return int(row), int(column)


def test_each_head_points_at_its_own_evidence(two_colour_model: Any) -> None:
    explanation = explain(two_colour_model, face(red=(1, 2), green=(6, 5)))
    assert explanation.layer == "conv"
    assert strongest(explanation.age) == (1, 2)
    assert strongest(explanation.female) == (6, 5)
    assert explanation.age[6, 5] == 0
    assert explanation.female[1, 2] == 0


def test_age_map_is_signed(two_colour_model: Any) -> None:
    age = explain(two_colour_model, face(red=(1, 2), blue=(3, 4))).age
    assert age[1, 2] == pytest.approx(1)
    assert age[3, 4] == pytest.approx(-1)
    assert age.dtype == np.float32


def test_gender_maps_are_per_class_and_before_the_softmax(two_colour_model: Any) -> None:
    explanation = explain(two_colour_model, face(green=(6, 5)))
    # The softmax is saturated: through it, nothing would be left.
    assert explanation.female[6, 5] == pytest.approx(1)
    assert not explanation.male.any()
    assert explanation.gender("female") is explanation.female
    with pytest.raises(ValueError, match="woman"):
        explanation.gender("woman")


def test_both_gender_maps_share_one_scale(two_colour_model: Any) -> None:
    import keras

    model = keras.models.clone_model(two_colour_model)
    model.set_weights(two_colour_model.get_weights())
    gender = model.get_layer("gender")
    gender.set_weights([np.array([[1.0, 0.0], [0.0, 4.0], [0.0, 0.0]]), np.zeros(2)])
    explanation = explain(model, face(red=(0, 0), green=(7, 7)))
    assert explanation.female.max() == pytest.approx(1)
    assert explanation.male[0, 0] == pytest.approx(0.25)


def test_gender_maps_ignore_what_both_logits_share(two_colour_model: Any) -> None:
    """Red raises both logits alike and so changes no answer; green lowers both, male's more."""
    import keras

    model = keras.models.clone_model(two_colour_model)
    model.set_weights(two_colour_model.get_weights())
    gender = model.get_layer("gender")
    gender.set_weights([np.array([[3.0, 3.0], [-4.0, -1.0], [0.0, 0.0]]), np.zeros(2)])
    explanation = explain(model, face(red=(0, 0), green=(7, 7)))
    assert explanation.female[7, 7] == pytest.approx(1)
    assert explanation.female[0, 0] == explanation.male[0, 0] == 0
    assert not explanation.male.any()


def test_nothing_to_see_gives_zeros(two_colour_model: Any) -> None:
    explanation = explain(two_colour_model, face())
    for heatmap in (explanation.age, explanation.male, explanation.female):
        assert not heatmap.any()


def test_map_of_the_mirror_image_is_the_mirrored_map(random_model: Any) -> None:
    """A random network sees a face and its mirror image differently; the average does not."""
    rgb = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    plain = explain(random_model, rgb)
    mirrored = explain(random_model, np.ascontiguousarray(rgb[:, ::-1]))
    for name in ("age", "male", "female"):
        assert np.allclose(getattr(plain, name), getattr(mirrored, name)[:, ::-1], atol=1e-4)
    assert np.abs(plain.age - plain.age[:, ::-1]).max() > 0.1


def test_maps_are_grad_cam_by_its_equations(random_model: Any) -> None:
    """Against a computation of its own, of a picture that is its own mirror image."""
    import keras
    import tensorflow as tf

    model = random_model
    rgb = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    rgb[:, SIZE // 2 :] = rgb[:, : SIZE // 2][:, ::-1]
    layer = heatmap_layer(model)
    graph = keras.Model(model.inputs[0], [layer.output, model.get_layer("age").output])
    with tf.GradientTape() as tape:
        pixels = tf.Variable(rgb[None].astype(np.float32))
        cells, years = graph(pixels, training=False)
    gradient = tape.gradient(years, cells).numpy()[0]
    alpha = gradient.mean(axis=(0, 1))
    expected = (cells.numpy()[0] * alpha).sum(axis=-1)
    expected = (expected + expected[:, ::-1]) / 2
    expected /= np.abs(expected).max()
    assert np.allclose(explain(model, rgb).age, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("size", "name"),
    [(32, "conv2_block3_out"), (64, "conv3_block4_out"), (160, "conv4_block6_out")],
)
def test_layer_is_the_last_with_seven_cells(size: int, name: str) -> None:
    assert heatmap_layer(build_model(size)).name == name


def test_layer_at_full_size_is_the_last_block() -> None:
    assert heatmap_layer(build_model(224)).name == "conv5_block3_out"


def test_model_without_pictures_has_no_layer() -> None:
    from agegender.model.architecture import build_heads

    with pytest.raises(ValueError, match="no convolutional layer"):
        heatmap_layer(build_heads())


def test_other_shape_is_refused(two_colour_model: Any) -> None:
    with pytest.raises(ValueError, match=r"\(32, 40, 3\)"):
        explain(two_colour_model, np.zeros((32, 40, 3), np.uint8))


def test_graph_is_compiled_once_per_model(
    two_colour_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Any] = []
    make: Callable[..., None] = Explainer.__init__

    def count(self: Explainer, model: Any) -> None:
        built.append(model)
        make(self, model)

    monkeypatch.setattr(Explainer, "__init__", count)
    import keras

    model = keras.models.clone_model(two_colour_model)
    threads = [threading.Thread(target=explain, args=(model, face())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == [model]


def test_explainer_does_not_keep_its_model_alive(two_colour_model: Any) -> None:
    import keras

    model = keras.models.clone_model(two_colour_model)
    explain(model, face())
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None


def test_sanity_check_sees_destroyed_weights(random_model: Any) -> None:
    before = random_model.get_weights()
    rgb = np.random.default_rng(3).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    steps = sanity_check(random_model, [rgb])
    assert [step.destroyed for step in steps] == ["heads", "conv2", "conv1"]
    assert abs(steps[-1].age) < 0.5
    for weights, kept in zip(random_model.get_weights(), before, strict=True):
        assert np.array_equal(weights, kept)


def test_sanity_check_goes_down_the_stages() -> None:
    parts = gradcam._parts(build_model(SIZE))
    assert list(parts) == ["heads", "conv5", "conv4", "conv3", "conv2", "conv1"]
    assert {layer.name for layer in parts["heads"]} == {"dense_256", "dense_128", "age", "gender"}


def test_sanity_check_sees_maps_that_do_not_depend_on_weights(
    monkeypatch: pytest.MonkeyPatch, two_colour_model: Any
) -> None:
    """Where shuffling changes nothing, the correlation stays 1: the check can fail."""

    class Unmoved:
        def permuted(self, values: np.ndarray, axis: None) -> np.ndarray:
            return values

    monkeypatch.setattr(np.random, "default_rng", lambda seed: Unmoved())
    picture = face(red=(1, 2), green=(6, 5), blue=(2, 2))
    steps = sanity_check(two_colour_model, [picture, picture], draws=1)
    assert [step.destroyed for step in steps] == ["heads", "conv"]
    assert steps[-1].age == pytest.approx(1)
    assert steps[-1].female == pytest.approx(1)
    assert steps[-1].male == 0
