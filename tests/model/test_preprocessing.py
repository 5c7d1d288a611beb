from __future__ import annotations

import numpy as np
import pytest

from agegender.model.preprocessing import InputSpec, prepare, preprocess


def test_preprocessing_in_the_graph_equals_keras_caffe_mode():
    import keras

    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, preprocess(inputs))
    rgb = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.float32)
    before = rgb.copy()

    ours = np.asarray(model(rgb))

    # Keras' own edits its argument, so it gets a copy.
    expected = keras.applications.resnet.preprocess_input(rgb.copy())
    np.testing.assert_allclose(ours, expected, atol=1e-4)
    np.testing.assert_array_equal(rgb, before)


def test_prepare_cuts_the_centre_and_leaves_its_argument_alone():
    image = np.zeros((200, 200, 3), np.uint8)
    image[50:150, 50:150] = 200
    before = image.copy()

    whole = prepare(image, InputSpec(64, 1.0))
    centre = prepare(image, InputSpec(64, 0.5))

    assert whole.shape == centre.shape == (64, 64, 3)
    assert whole[0, 0, 0] == 0
    assert (centre == 200).all()
    np.testing.assert_array_equal(image, before)


def test_prepare_commutes_with_mirroring():
    image = np.random.default_rng(1).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    spec = InputSpec(64, 0.88)
    np.testing.assert_array_equal(prepare(image[:, ::-1], spec), prepare(image, spec)[:, ::-1])


@pytest.mark.parametrize("shape", [(10, 300, 3), (300, 10, 3), (1, 1, 3), (33, 33, 3)])
def test_prepare_takes_any_shape(shape):
    assert prepare(np.full(shape, 7, np.uint8), InputSpec(32)).shape == (32, 32, 3)


@pytest.mark.parametrize(("size", "crop"), [(16, 1.0), (64, 0.0), (64, 1.2)])
def test_impossible_inputs_are_refused(size, crop):
    with pytest.raises(ValueError, match="but"):
        InputSpec(size, crop)
