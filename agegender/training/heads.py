"""Training the dense trunk and both heads on features of the frozen backbone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agegender.errors import StoppedError
from agegender.model.answer import (
    FEMALE_THRESHOLD,
    answered_gender,
    average_views,
    probability_of_female,
)
from agegender.model.architecture import FEATURE_COUNT, TRUNK_UNITS, build_heads, float32_policy
from agegender.training.balance import band_weights
from agegender.training.config import TrainConfig
from agegender.training.features import VIEWS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]

HUBER_DELTA_YEARS = 5.0
"""Below this error Huber's loss is squared, above it grows as the error does."""

WEIGHT_DECAY = 0.01

CHUNK_FACES = 2048
"""Faces in memory at once where all are passed over in order."""


@dataclass(frozen=True)
class LabeledFeatures:
    """Features of n faces with their labels.

    Attributes:
        values: float32, shape (m, 2, 2048); both views of these faces, and maybe of
            others (see `features`), so that nothing of a large map need be copied.
        rows: Place of each face in `values`, int64, shape (n,).
        age: Years, float32, shape (n,).
        gender: Index into `GENDER_NAMES`, int64, shape (n,).
    """

    values: FloatArray
    rows: NDArray[np.int64]
    age: FloatArray
    gender: NDArray[np.int64]


@dataclass(frozen=True)
class _Scaling:
    """Standardisation of the features, and the scale of ages; folded in the end."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    age_median: float
    age_std: float


def train_heads(
    train: LabeledFeatures,
    validation: LabeledFeatures,
    config: TrainConfig,
    *,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Any:
    """Train the heads with AdamW and early stopping.

    Both views of a face are samples of their own in training; on validation
    the answers for both are averaged, as everywhere else. The features are
    standardised by the train faces' mean and deviation, and ages by their
    median and deviation; both scalings are folded into the first and the last
    layer, so that the heads have just the layers of the architecture table.

    Args:
        train: Faces to learn from; at least one.
        validation: Faces that decide when to end; at least one.
        config: The settings.
        on_epoch: Called with each row of the learning curves
            (`run.METRIC_COLUMNS`).
        should_stop: Asked after each step.

    Returns:
        The heads with the best epoch's weights, as `architecture.build_heads`
        makes them, taking plain features.

    Raises:
        StoppedError: If `should_stop` said so.
        ValueError: If there are no faces to learn from or to validate on.
    """
    if not len(train.age) or not len(validation.age):
        raise ValueError("train and validation must each hold at least one face")
    import keras

    keras.utils.set_random_seed(config.seed)
    with float32_policy():
        heads = build_heads(dropout=config.dropout)
    scaling = _measure(train)
    samples = len(train.rows) * train.values.shape[1]
    batch_size = min(config.batch_size, samples)
    steps = samples // batch_size
    age_weights = band_weights(train.age, config.age_balance)
    learn, answer = _compile(heads, config, scaling, steps)

    best, best_loss, waited = heads.get_weights(), np.inf, 0
    for epoch in range(1, config.epochs + 1):
        began = time.monotonic()
        totals = np.zeros(3)
        for values, age, gender, weight in _batches(
            train, age_weights, batch_size, seed=(config.seed, epoch)
        ):
            totals += learn(values, age, gender, weight).numpy()
            if should_stop is not None and should_stop():
                raise StoppedError(f"Stopped in epoch {epoch} of {config.epochs}.")
        measured = _validate(answer, validation, config)
        if measured["val_loss"] < best_loss:
            best, best_loss, waited = heads.get_weights(), measured["val_loss"], 0
        else:
            waited += 1
        if on_epoch is not None:
            names = ("loss", "age_mae", "gender_accuracy")
            learned = dict(zip(names, (totals / steps).tolist(), strict=True))
            seconds = time.monotonic() - began
            on_epoch({"epoch": epoch, **learned, **measured, "seconds": seconds})
        if waited >= config.patience:
            break
    heads.set_weights(best)
    return _fold(heads, scaling)


def _measure(train: LabeledFeatures) -> _Scaling:
    """Measure the train features' and ages' scales, some faces at a time."""
    sums = np.zeros((2, FEATURE_COUNT))
    for values in _chunks(train):
        samples = values.reshape(-1, FEATURE_COUNT)
        sums += samples.sum(axis=0, dtype=np.float64), (samples**2).sum(axis=0, dtype=np.float64)
    mean, square = sums / (len(train.rows) * train.values.shape[1])
    std = np.sqrt(np.maximum(square - mean**2, 0))
    # A feature that hardly varies here must not explode on a face where it does.
    std = np.maximum(std, 0.01 * std.mean() or 1.0)
    age_std = float(train.age.std()) or 1.0
    return _Scaling(mean, std, float(np.median(train.age)), age_std)


def _compile(
    heads: Any, config: TrainConfig, scaling: _Scaling, steps: int
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Compile a training step and an averaged answer, on plain features.

    Returns:
        (learn, answer): `learn(values, age, gender, age_weight)` makes a step and gives
        (loss, age MAE, gender accuracy) of the batch; `answer(values)` takes
        both views, shape (b, 2, 2048), and gives (ages in years, gender
        probabilities), as `answer.average_views` does.
    """
    import keras
    import tensorflow as tf

    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(config.learning_rate, steps * config.epochs),
        weight_decay=WEIGHT_DECAY,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(heads.trainable_variables)
    mean = tf.constant(scaling.mean, tf.float32)
    std = tf.constant(scaling.std, tf.float32)

    def forward(values: Any, training: bool) -> tuple[Any, Any]:
        outputs = heads((values - mean) / std, training=training)
        return outputs["age"][:, 0] * scaling.age_std + scaling.age_median, outputs["gender"]

    @tf.function  # type: ignore[untyped-decorator, unused-ignore]
    def learn(values: Any, age: Any, gender: Any, age_weight: Any) -> Any:
        with tf.GradientTape() as tape:
            age_answer, gender_answer = forward(values, training=True)
            error = tf.abs(age_answer - age)
            loss_of_ages = tf.reduce_mean(age_weight * age_loss(error, config.age_loss))
            loss = config.age_loss_weight * loss_of_ages
            loss += config.gender_loss_weight * tf.reduce_mean(
                keras.losses.sparse_categorical_crossentropy(gender, gender_answer)
            )
        gradients = tape.gradient(loss, heads.trainable_variables)
        optimizer.apply(gradients, heads.trainable_variables)
        is_female = probability_of_female(gender_answer) >= FEMALE_THRESHOLD
        correct = is_female == tf.cast(gender, tf.bool)
        return tf.stack([loss, tf.reduce_mean(error), tf.reduce_mean(tf.cast(correct, tf.float32))])

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator, unused-ignore]
    def answer(values: Any) -> Any:
        views = [forward(values[:, view], training=False) for view in range(VIEWS)]
        ages, genders = (tf.stack(parts) for parts in zip(*views, strict=True))
        return average_views(ages, genders, axis=0)

    return learn, answer


def age_loss(error: Any, kind: str) -> Any:
    """Return the loss of absolute errors in years; both kinds grow by one a year when large.

    Args:
        error: Absolute errors, years, float32, any shape.
        kind: One of `AGE_LOSSES`.
    """
    import tensorflow as tf

    if kind == "l1":
        return error
    squared = error**2 / (2 * HUBER_DELTA_YEARS)
    return tf.where(error < HUBER_DELTA_YEARS, squared, error - HUBER_DELTA_YEARS / 2)


def _batches(
    data: LabeledFeatures, age_weights: FloatArray, batch_size: int, *, seed: tuple[int, int]
) -> Iterator[tuple[FloatArray, FloatArray, NDArray[np.int64], FloatArray]]:
    """Yield shuffled full batches in which each view is a sample, with weights of its age."""
    faces, views = len(data.rows), data.values.shape[1]
    order = np.random.default_rng(seed).permutation(faces * views)
    for start in range(0, len(order) - batch_size + 1, batch_size):
        face, view = np.divmod(order[start : start + batch_size], views)
        yield (
            data.values[data.rows[face], view],
            data.age[face],
            data.gender[face],
            age_weights[face],
        )


def _chunks(data: LabeledFeatures) -> Iterator[FloatArray]:
    """Yield the features of all faces in order, some at a time."""
    for start in range(0, len(data.rows), CHUNK_FACES):
        yield data.values[data.rows[start : start + CHUNK_FACES]]


def _validate(
    answer: Callable[..., Any], data: LabeledFeatures, config: TrainConfig
) -> dict[str, float]:
    """Measure the averaged answers for all faces of a split."""
    ages, genders = [], []
    for values in _chunks(data):
        age, gender = answer(values)
        ages.append(age.numpy())
        genders.append(gender.numpy())
    error = np.abs(np.concatenate(ages) - data.age)
    chances = np.concatenate(genders)
    cross_entropy = -np.log(np.maximum(chances[np.arange(len(error)), data.gender], 1e-7)).mean()
    loss_of_ages = float(np.mean(age_loss(error, config.age_loss)))
    answered = answered_gender(probability_of_female(chances))
    return {
        "val_loss": config.age_loss_weight * loss_of_ages
        + config.gender_loss_weight * float(cross_entropy),
        "val_age_mae": float(error.mean()),
        "val_gender_accuracy": float((answered == data.gender).mean()),
    }


def _fold(heads: Any, scaling: _Scaling) -> Any:
    """Rebuild the heads so that they take plain features and give plain years.

    With x' = (x - mean) / std, W x' + b = (W / std) x + (b - W mean / std).
    """
    with float32_policy():
        folded = build_heads()
    for layer in folded.layers:
        if layer.weights:
            layer.set_weights(heads.get_layer(layer.name).get_weights())
    first = folded.get_layer(f"dense_{TRUNK_UNITS[0]}")
    kernel, bias = (weight.astype(np.float64) for weight in first.get_weights())
    kernel = kernel / scaling.std[:, None]
    first.set_weights([kernel, bias - scaling.mean @ kernel])
    age = folded.get_layer("age")
    kernel, bias = age.get_weights()
    age.set_weights([kernel * scaling.age_std, bias * scaling.age_std + scaling.age_median])
    return folded
