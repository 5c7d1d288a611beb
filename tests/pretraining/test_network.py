from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agegender.pretraining import network as module
from agegender.pretraining.network import (
    AGE_CLASSES,
    PAIRED,
    age_loss,
    compile_network,
    disagreement,
    unsteadiness,
)
from agegender.pretraining.recipe import Recipe

RECIPE = Recipe((), age_sigma_years=2.0, age_l1_weight=0.1)


def peak(age: int) -> np.ndarray:
    """All probability on one age."""
    return np.eye(AGE_CLASSES, dtype="float32")[[age]]


def gaussian(age: float) -> np.ndarray:
    """The distribution that a label of `age` years asks for."""
    values = np.exp(-0.5 * ((np.arange(AGE_CLASSES) - age) / RECIPE.age_sigma_years) ** 2)
    return (values / values.sum())[None].astype("float32")


def test_age_loss_is_least_for_the_gaussian_around_the_label() -> None:
    loss = age_loss(RECIPE)
    label = np.array([[40.0]], "float32")
    best = float(loss(label, gaussian(40))[0])
    assert best == pytest.approx(np.log(2.0 * np.sqrt(2 * np.pi * np.e)), abs=1e-3)
    for other in (gaussian(38), gaussian(45), peak(40), np.full((1, 101), 1 / 101, "float32")):
        assert float(loss(label, other)[0]) > best


def test_age_loss_adds_the_error_of_the_mean() -> None:
    label = np.array([[40.0]], "float32")
    without = age_loss(Recipe((), age_sigma_years=2.0, age_l1_weight=0.0))
    difference = age_loss(RECIPE)(label, gaussian(45)) - without(label, gaussian(45))
    assert float(difference[0]) == pytest.approx(0.1 * 5, abs=1e-3)


def test_labels_beyond_the_last_class_count_as_the_last() -> None:
    loss = age_loss(RECIPE)
    for prediction in (gaussian(99), gaussian(60)):
        losses = [float(loss(np.array([[age]], "float32"), prediction)[0]) for age in (100, 116)]
        assert losses[0] == losses[1]


def test_disagreement_compares_the_two_views_of_each_face() -> None:
    first, second = (gaussian(30), gaussian(60)), (gaussian(33), gaussian(58))
    years = np.asarray(disagreement(None, np.concatenate([*first, *second])))
    assert years == pytest.approx([3, 2, 3, 2], abs=1e-2)


def test_unsteadiness_compares_the_features_of_each_face_with_those_of_others() -> None:
    rng = np.random.default_rng(0)
    faces, others = rng.normal(size=(2, 500, 16)).astype("float32")

    def mean(first: Any, second: Any) -> float:
        return float(np.mean(unsteadiness(None, np.concatenate([first, second]))))

    assert mean(faces, faces) == pytest.approx(0, abs=1e-6)
    assert mean(faces, others) == pytest.approx(1, abs=0.03)
    half = mean(faces, faces + others)
    assert 0.2 < half < 0.4
    # Features cannot become steady by shrinking, nor by being the same for everybody.
    assert mean(faces / 100, (faces + others) / 100) == pytest.approx(half, rel=0.02)
    assert mean(np.zeros_like(faces), np.zeros_like(faces)) == 0


def test_agreement_counts_only_where_its_weight_says_so() -> None:
    import keras

    inputs = keras.Input((4, 4, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    outputs = {
        name: keras.layers.Dense(count, activation="softmax")(pooled)
        for name, count in (("age", AGE_CLASSES), ("gender", 2), ("race", 5))
    }
    network = keras.Model(inputs, {**outputs, "agreement": outputs["age"], "steadiness": pooled})
    recipe = replace(RECIPE, steadiness_weight=3.0)
    compile_network(network, recipe, [(0, 1e-6), (10, 1e-6)])
    images = np.random.default_rng(0).normal(size=(4, 4, 4, 3)).astype("float32")
    labels = {name: np.zeros((4, 1)) for name in outputs | dict.fromkeys(PAIRED)}
    weights = {name: np.ones(4, "float32") for name in labels}
    with_agreement = float(network.test_on_batch(images, labels, weights)[0])
    for name in PAIRED:
        weights[name][:] = 0
    without = float(network.test_on_batch(images, labels, weights)[0])
    answers = network(images, training=False)
    years = np.mean(disagreement(None, np.asarray(answers["age"])))
    share = np.mean(unsteadiness(None, np.asarray(answers["steadiness"])))
    extra = recipe.agreement_weight * float(years) + 3.0 * float(share)
    assert extra > 1e-4
    assert with_agreement - without == pytest.approx(extra, rel=0.05)


@pytest.fixture
def normalized() -> Iterator[tuple[Any, Any]]:
    """A small model with batch normalisation, as Keras and as the fused kernel compute it."""
    import keras

    inputs = keras.Input((8, 8, 3))
    plain = keras.Model(inputs, keras.layers.BatchNormalization()(inputs))
    fused = module._with_fused_normalization(plain)
    fused.set_weights(plain.get_weights())
    return plain, fused


def test_fused_normalization_trains_and_infers_as_keras_does(normalized: tuple[Any, Any]) -> None:
    plain, fused = normalized
    images = np.random.default_rng(0).normal(3, 2, (16, 8, 8, 3)).astype("float32")
    for training in (True, False):
        one, other = (np.asarray(model(images, training=training)) for model in (plain, fused))
        assert np.allclose(one, other, atol=1e-3)
    # The kernel divides by n - 1 where Keras divides by n.
    for one, other in zip(plain.get_weights(), fused.get_weights(), strict=True):
        assert np.allclose(one, other, rtol=2e-3)


def test_fused_normalization_passes_on_keras_gradients(normalized: tuple[Any, Any]) -> None:
    import tensorflow as tf

    images = tf.constant(np.random.default_rng(0).normal(3, 2, (16, 8, 8, 3)), "float32")
    gradients = []
    for model in normalized:
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss = tf.reduce_sum(tf.math.sin(model(images, training=True)))
        variables = [variable.value for variable in model.trainable_variables]
        gradients.append(tape.gradient(loss, [*variables, images]))
    for one, other in zip(*gradients, strict=True):
        assert np.allclose(one, other, atol=1e-3 * float(tf.reduce_max(tf.abs(one))))
