"""The network: a frozen ResNet50, a 256-128 dense trunk and two heads.

ResNet50 is that of He et al., "Deep Residual Learning for Image Recognition",
CVPR 2016, as `keras.applications` builds it. The whole model is one flat graph
(no model nested in a model), so that any layer's output can be read, which
Grad-CAM needs and Keras 3 forbids across nested models.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from agegender.config import GENDER_NAMES
from agegender.model.preprocessing import preprocess

FEATURE_COUNT = 2048
"""Numbers that the pooled backbone gives for an image."""

TRUNK_UNITS = (256, 128)

FEATURES_LAYER = "features"
"""Name of the pooling layer whose output is the (batch, 2048) features."""


def build_backbone(size: int | None) -> Any:
    """Build the backbone with preprocessing and pooling, without weights.

    Args:
        size: Side of the input in pixels, or None for any size.

    Returns:
        A `keras.Model` from RGB 0..255, float32, shape (batch, size, size, 3),
        to features, float32, shape (batch, 2048). Weights are random.
    """
    import keras

    inputs = keras.Input((size, size, 3), name="rgb")
    resnet = keras.applications.ResNet50(
        include_top=False, weights=None, input_tensor=preprocess(inputs)
    )
    pool = keras.layers.GlobalAveragePooling2D(name=FEATURES_LAYER, dtype="float32")
    return keras.Model(inputs, pool(resnet.output), name="backbone")


def build_heads(*, dropout: float = 0.0) -> Any:
    """Build the trunk and the two heads on top of features.

    Args:
        dropout: Share of units silenced after each dense layer in training.

    Returns:
        A `keras.Model` from features, float32, shape (batch, 2048), to a
        dictionary with `age`, years, shape (batch, 1), and `gender`,
        probabilities in the order of `GENDER_NAMES`, shape (batch, 2).
    """
    import keras

    features = keras.Input((FEATURE_COUNT,), name=FEATURES_LAYER)
    return keras.Model(features, _heads(features, dropout), name="heads")


def build_model(size: int) -> Any:
    """Build the whole model, from pixels to both answers, in one flat graph.

    Args:
        size: Side of the input, in pixels.

    Returns:
        A `keras.Model` from RGB 0..255, float32, shape (batch, size, size, 3),
        to the dictionary that `build_heads` describes. Weights are random.
    """
    return attach_heads(build_backbone(size))


def attach_heads(backbone: Any) -> Any:
    """Put new heads on a backbone, in one flat graph that shares its layers.

    Args:
        backbone: What `build_backbone` returned.

    Returns:
        The `keras.Model` that `build_model` describes; its heads are random.
    """
    import keras

    return keras.Model(backbone.input, _heads(backbone.output, 0.0), name="agegender")


@contextmanager
def float32_policy() -> Iterator[None]:
    """Build layers in float32, whatever precision a pretraining has set."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _heads(features: Any, dropout: float) -> dict[str, Any]:
    """Stack the trunk and the heads on a tensor of features."""
    from keras import layers

    # float32 throughout: in bfloat16 ages above 64 come in steps of half a year.
    hidden = features
    for number, units in enumerate(TRUNK_UNITS, start=1):
        hidden = layers.Dense(units, activation="relu", name=f"dense_{units}", dtype="float32")(
            hidden
        )
        if dropout:
            hidden = layers.Dropout(dropout, name=f"dropout_{number}", dtype="float32")(hidden)
    return {
        "age": layers.Dense(1, name="age", dtype="float32")(hidden),
        "gender": layers.Dense(
            len(GENDER_NAMES), activation="softmax", name="gender", dtype="float32"
        )(hidden),
    }


@dataclass(frozen=True)
class LayerRow:
    """One row of the architecture table."""

    layer: str
    output_shape: tuple[int, ...]
    parameters: int


def architecture_table(model: Any) -> list[LayerRow]:
    """Describe a model as its five parts and their parameter counts.

    Args:
        model: What `build_model` returned.

    Returns:
        Rows for the backbone, the pooling, the two dense layers and the two
        heads, in that order; shapes without the batch axis.
    """
    head_layers = [f"dense_{units}" for units in TRUNK_UNITS] + ["age", "gender"]
    pooling = model.get_layer(FEATURES_LAYER)
    head_parameters = sum(model.get_layer(name).count_params() for name in head_layers)
    rows = [
        LayerRow(
            "ResNet50 (frozen)",
            tuple(pooling.input.shape[1:]),
            model.count_params() - head_parameters,
        ),
        LayerRow("GlobalAveragePooling2D", tuple(pooling.output.shape[1:]), 0),
    ]
    for name in head_layers:
        layer = model.get_layer(name)
        rows.append(LayerRow(name, tuple(layer.output.shape[1:]), layer.count_params()))
    return rows
