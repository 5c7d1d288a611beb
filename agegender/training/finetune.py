"""Optional training of the top of the backbone, for those with a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agegender.errors import StoppedError
from agegender.model.architecture import attach_heads
from agegender.model.tensors import save_weights
from agegender.model.weights import BackboneWeights, load_backbone
from agegender.training.balance import band_weights
from agegender.training.heads import age_loss
from agegender.training.loader import image_batches

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from agegender.dataset.dataset import Dataset
    from agegender.training.config import TrainConfig

TRAINED_STAGE = "conv5"
"""The last stage of ResNet50; those before it see edges and textures that any face has."""

BATCH_FACES = 32

LEARNING_RATE = 1e-5
"""Small, as the features are already good: the heads are trained anew afterwards."""


def fine_tune(
    dataset: Dataset,
    faces: pd.DataFrame,
    weights: BackboneWeights,
    heads: Any,
    config: TrainConfig,
    path: Path,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[str]:
    """Train the last stage of the backbone together with trained heads.

    Batch normalisation stays in inference mode: its statistics are those of
    far more faces than a batch holds.

    Args:
        dataset: Where the pictures are.
        faces: Train faces, with `file`, `sha256`, `age` and `gender`.
        weights: The backbone to start from.
        heads: Trained on its features.
        config: For `fine_tune_epochs`, the losses and the seed.
        path: Where the new backbone is saved, with the JSON beside it.
        on_progress: Called with (done, total) in steps.
        should_stop: Asked after each step.

    Returns:
        Files that could not be read, or have changed, and were left out, sorted.

    Raises:
        StoppedError: If `should_stop` said so; nothing is saved.
        StorageError: If the disk refuses.
    """
    import keras

    keras.utils.set_random_seed(config.seed)
    backbone = load_backbone(weights)
    backbone.trainable = True
    for layer in backbone.layers:
        is_frozen = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = layer.name.startswith(TRAINED_STAGE) and not is_frozen
    model = attach_heads(backbone)
    for layer in heads.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    model.compile(
        keras.optimizers.AdamW(LEARNING_RATE),
        loss={
            "age": _loss_of_ages(config.age_loss),
            "gender": "sparse_categorical_crossentropy",
        },
        loss_weights={"age": config.age_loss_weight, "gender": config.gender_loss_weight},
    )
    steps = -(-len(faces) // BATCH_FACES)

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        done = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.done += 1
            if on_progress is not None:
                on_progress(self.done, steps * config.fine_tune_epochs)
            if should_stop is not None and should_stop():
                raise StoppedError(
                    f"Stopped after {self.done} steps of fine-tuning; they are lost."
                )

    skipped: set[str] = set()
    batches = _labeled_batches(dataset, faces, weights, config, skipped)
    model.fit(
        batches,
        epochs=config.fine_tune_epochs,
        steps_per_epoch=steps,
        shuffle=False,  # the batches are shuffled already
        verbose=0,
        callbacks=[Watch()],
    )
    backbone.trainable = False
    save_weights(backbone, path, metadata={**asdict(weights.spec), "has_skill": weights.has_skill})
    return sorted(skipped)


def _loss_of_ages(kind: str) -> Callable[[Any, Any], Any]:
    """Make the heads' own age loss one that Keras takes: of ages, shape (batch, 1)."""
    import tensorflow as tf

    def loss(y_true: Any, y_pred: Any) -> Any:
        return age_loss(tf.abs(y_true - y_pred), kind)[:, 0]

    return loss


def _labeled_batches(
    dataset: Dataset,
    faces: pd.DataFrame,
    weights: BackboneWeights,
    config: TrainConfig,
    skipped: set[str],
) -> Any:
    """Make batches of pictures, mirrored at random, with labels and their weights, shuffled anew in
    every pass.

    There is no end to them.
    Files that cannot be read, or have changed, are added to `skipped`.
    """
    import tensorflow as tf

    epochs = count(1)

    def read() -> Iterator[
        tuple[NDArray[np.uint8], dict[str, NDArray[Any]], dict[str, NDArray[np.float32]]]
    ]:
        order = np.random.default_rng((config.seed, next(epochs))).permutation(len(faces))
        shuffled = faces.iloc[order]
        files = list(zip(shuffled["file"], shuffled["sha256"], strict=True))
        labels = {
            "age": shuffled["age"].to_numpy(np.float32)[:, None],
            "gender": shuffled["gender"].to_numpy(np.int64)[:, None],
        }
        sample_weights = {
            "age": band_weights(shuffled["age"].to_numpy(np.float32), config.age_balance),
            "gender": np.ones(len(shuffled), np.float32),
        }
        for batch in image_batches(dataset.folder, files, weights.spec, batch_size=BATCH_FACES):
            skipped.update(files[row][0] for row, pixels in batch if pixels is None)
            usable = {row: pixels for row, pixels in batch if pixels is not None}
            if rows := list(usable):
                yield (
                    np.stack(list(usable.values())),
                    {name: values[rows] for name, values in labels.items()},
                    {name: values[rows] for name, values in sample_weights.items()},
                )

    def mirror(rgb: Any, *others: Any) -> tuple[Any, ...]:
        return tf.image.random_flip_left_right(tf.cast(rgb, tf.float32)), *others

    side = weights.spec.size
    batches = tf.data.Dataset.from_generator(
        read,
        output_signature=(
            tf.TensorSpec((None, side, side, 3), tf.uint8),
            {"age": tf.TensorSpec((None, 1)), "gender": tf.TensorSpec((None, 1), tf.int64)},
            {"age": tf.TensorSpec((None,)), "gender": tf.TensorSpec((None,))},
        ),
    )
    # Without an end, as a batch of skipped pictures alone is none.
    return batches.repeat().map(mirror).prefetch(2)
