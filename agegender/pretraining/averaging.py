"""The mean of the weights that a pretraining ended with and those it started from.

The mean of a model and of what it was fine-tuned from is often better than either
(Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022). Batch
normalisation needs statistics of its own there, as it does for a running average: those
of the averaged are of other activations than the mean's (Izmailov et al., "Averaging
Weights Leads to Wider Optima and Better Generalization", UAI 2018).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agegender.config import SEED
from agegender.images import read_image
from agegender.model.preprocessing import InputSpec, prepare
from agegender.model.tensors import assign_weights, read_tensors

if TYPE_CHECKING:
    import pandas as pd

STATISTICS_FACES = 2048
"""Faces behind the statistics of batch normalisation."""

BATCH = 64


def average_with(backbone: Any, file: Path, share: float) -> None:
    """Move a backbone's weights towards others.

    Args:
        backbone: What `architecture.build_backbone` gave, with weights.
        file: Backbone weights that this project saved.
        share: Of the others in the mean, 0 to 1.

    Raises:
        ModelNotFoundError: If the file or its JSON is missing.
        InvalidModelError: If it is damaged or of another architecture.
    """
    own = [variable.numpy() for variable in backbone.variables]
    assign_weights(backbone, read_tensors(file), source=str(file))
    for variable, values in zip(backbone.variables, own, strict=True):
        variable.assign((1 - share) * values + share * variable.numpy())


def estimate_statistics(
    backbone: Any, faces: pd.DataFrame, spec: InputSpec, *, keep: tuple[str, ...] = ()
) -> None:
    """Estimate a backbone's batch normalisation statistics anew, on faces as they are.

    Args:
        backbone: What `architecture.build_backbone` gave, with weights.
        faces: Train faces, with the column `file`; a sample of them is read.
        spec: The backbone's input.
        keep: Beginnings of the names of layers that keep their statistics.

    Raises:
        InvalidImageError: If a face cannot be read.
    """
    import keras

    files = faces["file"].sample(min(STATISTICS_FACES, len(faces)), random_state=SEED)
    layers = [
        layer for layer in backbone.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = {layer: layer.momentum for layer in layers}
    for layer in layers:
        layer.trainable = not layer.name.startswith(keep)
    for done in range(0, len(files), BATCH):
        batch = files.iloc[done : done + BATCH]
        pixels = np.stack([prepare(read_image(Path(file)), spec) for file in batch])
        for layer in layers:
            # The mean of all batches so far.
            layer.momentum = done / (done + len(batch))
        backbone(pixels.astype("float32"), training=True)
    for layer, momentum in momenta.items():
        layer.momentum = momentum
        layer.trainable = True
