"""The network that is pretrained: the backbone with heads of its own.

It learns the distribution of ages (label distribution learning: Gao et al.,
"Deep Label Distribution Learning with Label Ambiguity", IEEE TIP 2017; with the
L1 loss of the mean as in Gao et al., "Age Estimation Using Expectation of Label
Distribution Learning", IJCAI 2018), gender and race group together; where a stage
shows each face twice, the two mean ages are to agree, and the two rows of features.
A teacher's numbers may be learned as well (Hinton et al., "Distilling the Knowledge in a
Neural Network", 2015). The heads are thrown away afterwards.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from agegender.config import GENDER_NAMES, RACE_NAMES
from agegender.errors import RunError
from agegender.model.architecture import build_backbone
from agegender.pretraining.recipe import Recipe
from agegender.pretraining.teacher import TEACHER_NUMBERS
from agegender.training.balance import OLDEST_YEARS

AGE_CLASSES = OLDEST_YEARS + 1
"""Ages 0..100; older labels count as 100."""

PAIRED = ("agreement", "steadiness")
"""Outputs whose losses compare the two views of a face."""

LEAST_VARIANCE = 0.01
"""Of a feature that counts in full, beside the mean of all features' variances."""


def precision_policy() -> str:
    """Choose the fastest precision that this machine computes in hardware.

    Returns:
        "mixed_bfloat16" on processors with AVX-512 BF16 or AMX and on GPUs of
        compute capability 8 and above, "mixed_float16" on older GPUs,
        "float32" elsewhere.
    """
    capability = _gpu_capability()
    if capability is not None:
        return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16"
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return "float32"
    return "mixed_bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"


def _gpu_capability() -> tuple[int, int] | None:
    """Return the compute capability of the first GPU that Keras' backend sees, if any."""
    import keras

    if keras.config.backend() == "jax":
        import jax

        gpus = [device for device in jax.devices() if device.platform == "gpu"]
        if not gpus:
            return None
        major, _, minor = gpus[0].compute_capability.partition(".")
        # AMD's are named otherwise.
        return (int(major), int(minor)) if major.isdigit() else (0, 0)
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return None
    return tf.config.experimental.get_device_details(gpus[0]).get("compute_capability") or (0, 0)


def build_network(recipe: Recipe) -> Any:
    """Build the backbone with the pretraining heads, for any image size.

    Sets Keras' precision for all that is built afterwards.

    Args:
        recipe: The recipe.

    Returns:
        A `keras.Model` from RGB 0..255 to `age` (probabilities of the ages
        0..100, shape (batch, 101)), `gender` (batch, 2) and `race` (batch, 5); to
        `agreement`, which is `age` again; to `steadiness`, the features (batch, 2048); and,
        where the recipe has a teacher, to `teacher` (batch, 128).

    Raises:
        RunError: If the recipe freezes layers that do not exist.
    """
    import keras

    keras.mixed_precision.set_global_policy(precision_policy())
    backbone = build_backbone(None)
    if keras.config.backend() == "tensorflow":
        backbone = _with_fused_normalization(backbone)
    # Each block starts as the identity (Goyal et al., "Accurate, Large Minibatch
    # SGD", 2017). Without it, at the start bfloat16's gradients of the early
    # layers have a cosine of only 0.2 to 0.5 with those of float32.
    for variable in backbone.variables:
        if variable.path.endswith("_3_bn/gamma"):
            variable.assign(np.zeros(variable.shape))
    for beginning in recipe.frozen:
        if not any(layer.name.startswith(beginning) for layer in backbone.layers):
            raise RunError(
                f"The recipe freezes {beginning!r}, but no layer's name begins so; take a name "
                "such as conv1 or conv2_block1."
            )
    for layer in backbone.layers:
        layer.trainable = not layer.name.startswith(recipe.frozen)
        if recipe.average_momentum and isinstance(layer, keras.layers.BatchNormalization):
            # The optimizer averages what is trained; the statistics go with it.
            layer.momentum = recipe.average_momentum
    heads = {"age": AGE_CLASSES, "gender": len(GENDER_NAMES), "race": len(RACE_NAMES)}
    features = keras.layers.Dropout(recipe.dropout, dtype="float32")(backbone.output)
    outputs = {
        name: keras.layers.Dense(count, activation="softmax", dtype="float32", name=name)(features)
        for name, count in heads.items()
    }
    if recipe.teacher_weight:
        outputs["teacher"] = keras.layers.Dense(TEACHER_NUMBERS, dtype="float32", name="teacher")(
            features
        )
    # The same answer under a second name, for a loss of its own.
    outputs["agreement"] = outputs["age"]
    outputs["steadiness"] = keras.layers.Identity(dtype="float32", name="steadiness")(
        backbone.output
    )
    return keras.Model(backbone.input, outputs, name="pretraining")


def _with_fused_normalization(backbone: Any) -> Any:
    """Rebuild a model with batch normalisation computed by TensorFlow's fused kernel.

    Keras spells the training step out in many small operations; on a
    processor the fused kernel makes the whole step half again as fast. The
    layers' names, weights and results stay the same.
    """
    import keras
    import tensorflow as tf

    class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
        def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
            # As Keras has it: a frozen layer goes by what it has learned.
            if not (training and self.trainable):
                return super().call(inputs, training=training, mask=mask)
            outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
            )
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
            return outputs

    def clone(layer: Any) -> Any:
        kind = type(layer)
        if kind is keras.layers.BatchNormalization:
            kind = FusedBatchNormalization
        return kind.from_config(layer.get_config())

    return keras.models.clone_model(backbone, clone_function=clone)


def age_loss(recipe: Recipe) -> Callable[[Any, Any], Any]:
    """Make the loss of the age distribution.

    Args:
        recipe: For `age_sigma_years` and `age_l1_weight`.

    Returns:
        A function of ages in years, shape (batch, 1), and probabilities,
        shape (batch, 101), that gives a loss for each sample: cross-entropy
        with a Gaussian around the label, plus the weighted absolute error of
        the mean.
    """
    from keras import ops

    ages = np.arange(AGE_CLASSES, dtype="float32")

    def loss(y_true: Any, y_pred: Any) -> Any:
        label = ops.minimum(ops.cast(y_true, "float32"), AGE_CLASSES - 1.0)
        target = ops.exp(-0.5 * ((ages - label) / recipe.age_sigma_years) ** 2)
        target = target / ops.sum(target, axis=-1, keepdims=True)
        cross_entropy = -ops.sum(target * ops.log(y_pred + 1e-7), axis=-1)
        mean = ops.sum(y_pred * ages, axis=-1, keepdims=True)
        return cross_entropy + recipe.age_l1_weight * ops.abs(mean - label)[:, 0]

    return loss


def disagreement(_: Any, y_pred: Any) -> Any:
    """Return how far apart the mean ages are that a face's two views get.

    Args:
        _: No label is needed.
        y_pred: Probabilities of the ages, shape (batch, 101): one view of some
            faces, then the other view of the same in the same order.

    Returns:
        Years, shape (batch,).
    """
    from keras import ops

    mean = ops.sum(y_pred * np.arange(AGE_CLASSES, dtype="float32"), axis=-1)
    return ops.abs(mean - ops.roll(mean, ops.shape(mean)[0] // 2))


def unsteadiness(_: Any, y_pred: Any) -> Any:
    """Return how far apart the features of a face's two views are, beside those of others.

    1 less the correlation of each feature over the faces of the batch, which is the
    diagonal of Barlow Twins (Zbontar et al., ICML 2021), to the first power. Features of
    any scale cost the same, so that they cannot become steady by shrinking.

    Args:
        _: No label is needed.
        y_pred: Features, shape (batch, 2048), in the order of `disagreement`.

    Returns:
        About 0 (the same) to 1 (as if of other faces), shape (batch,); their mean counts.
    """
    from keras import config, ops

    centred = y_pred - ops.mean(y_pred, axis=0, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=0, keepdims=True)
    # A feature that hardly responds to any face counts less.
    least = LEAST_VARIANCE * ops.mean(variance) + config.epsilon()
    scaled = centred / ops.sqrt(variance + least)
    other = ops.roll(scaled, ops.shape(scaled)[0] // 2, axis=0)
    return 0.5 * ops.mean(ops.square(scaled - other), axis=-1)


def compile_network(network: Any, recipe: Recipe, knots: list[tuple[int, float]]) -> None:
    """Attach the optimizer, its learning rates and the losses.

    Args:
        network: What `build_network` gave.
        recipe: The same recipe.
        knots: Learning rates by step (`recipe.learning_rate_knots`).
    """
    import keras

    class PiecewiseLinear(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        def __call__(self, step: Any) -> Any:
            from keras import ops

            step = ops.cast(step, "float32")
            rate = ops.zeros(()) + knots[-1][1]
            for (start, low), (end, high) in reversed(list(itertools.pairwise(knots))):
                part = (step - start) / max(end - start, 1)
                rate = ops.where(step < end, low + part * (high - low), rate)
            return rate

    averages = {"use_ema": True, "ema_momentum": recipe.average_momentum}
    network.compile(
        keras.optimizers.AdamW(
            PiecewiseLinear(),
            weight_decay=recipe.weight_decay,
            **(averages if recipe.average_momentum else {}),
        ),
        **loss_of_outputs(recipe),
        # JAX computes step by step without; TensorFlow is compiled either way.
        jit_compile=keras.config.backend() == "jax",
    )


@contextmanager
def averaged(network: Any) -> Iterator[None]:
    """Give a network the running average of its weights for a while, if it keeps one.

    The average of the last steps' weights is better than the last (Izmailov et al.,
    "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018).

    Args:
        network: What `compile_network` was given, with a step done.
    """
    # In float16 Keras wraps the optimizer in one that scales the loss.
    optimizer = getattr(network.optimizer, "inner_optimizer", network.optimizer)
    if not optimizer.use_ema:
        yield
        return
    trained = network.trainable_variables
    own = [variable.numpy() for variable in trained]
    optimizer.finalize_variable_values(trained)
    for variable in trained:
        # A copy: JAX may reuse a network's memory, which would be the averages' own.
        variable.assign(variable.numpy().copy())
    try:
        yield
    finally:
        for variable, values in zip(trained, own, strict=True):
            variable.assign(values)


def loss_of_outputs(recipe: Recipe) -> dict[str, Any]:
    """Return `loss` and `loss_weights` of the network's outputs, as `keras.Model.compile` takes."""
    return {
        "loss": {
            "age": age_loss(recipe),
            "gender": "sparse_categorical_crossentropy",
            "race": "sparse_categorical_crossentropy",
            "agreement": disagreement,
            "steadiness": unsteadiness,
            **({"teacher": "mean_squared_error"} if recipe.teacher_weight else {}),
        },
        "loss_weights": {
            "age": 1.0,
            "gender": recipe.gender_weight,
            "race": recipe.race_weight,
            "agreement": recipe.agreement_weight,
            "steadiness": recipe.steadiness_weight,
            **({"teacher": recipe.teacher_weight} if recipe.teacher_weight else {}),
        },
    }
