"""The beginning of a pretraining that goes on from a set of weights.

The backbone gets the weights; the pretraining heads, which no set of weights
has, are fitted to it before any other weight moves. With random heads the first
steps would undo much of what the backbone knows (Kumar et al., "Fine-Tuning can
Distort Pretrained Features and Underperform Out-of-Distribution", ICLR 2022).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agegender.model.architecture import FEATURES_LAYER
from agegender.model.tensors import assign_weights, read_tensors
from agegender.pretraining.devices import EVALUATION_BATCH
from agegender.pretraining.network import loss_of_outputs
from agegender.pretraining.pixels import labels_of
from agegender.pretraining.recipe import Recipe, Stage

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

HEAD_FACES = 4096
"""More faces make hardly better heads, and everything is trained afterwards."""

HEAD_EPOCHS = 20


def start_from(
    network: Any,
    recipe: Recipe,
    stage: Stage,
    file: Path,
    samples: pd.DataFrame,
    pixels: NDArray[np.uint8],
) -> None:
    """Put weights into the backbone of a network, and fit the network's heads to it.

    Args:
        network: What `build_network` gave.
        recipe: Its recipe.
        stage: The first stage that has samples: the size is its, and the heads learn
            from its sources.
        file: Backbone weights that this project saved.
        samples: Train faces (`pixels.labels_of`), with `source`.
        pixels: Their frames, uint8, shape (n, side, side, 3).

    Raises:
        ModelNotFoundError: If the file or its JSON is missing.
        InvalidModelError: If it is damaged or of another architecture.
    """
    import keras

    jit = network.jit_compile
    backbone = keras.Model(network.input, network.get_layer(FEATURES_LAYER).output)
    assign_weights(backbone, read_tensors(file), source=str(file))

    usable = np.flatnonzero(samples["source"].isin(stage.sources))
    rows = np.random.default_rng(recipe.seed).permutation(usable)[:HEAD_FACES]
    # Full batches, some faces twice: several GPUs share them equally.
    rows = np.resize(rows, -(-len(rows) // EVALUATION_BATCH) * EVALUATION_BATCH)
    size = stage.size
    margin = (pixels.shape[1] - size) // 2
    frames = pixels[rows, margin : margin + size, margin : margin + size]
    backbone.compile(jit_compile=jit)
    features = backbone.predict(frames, batch_size=EVALUATION_BATCH, verbose=0)
    inputs = keras.Input(features.shape[1:])
    # The network's own layers: fitting these is fitting those.
    names = ("age", "gender", "race", *(["teacher"] if recipe.teacher_weight else []))
    outputs = {name: network.get_layer(name)(inputs) for name in names}
    outputs |= {"agreement": outputs["age"], "steadiness": inputs}
    heads = keras.Model(inputs, outputs)
    heads.compile(keras.optimizers.Adam(1e-3), **loss_of_outputs(recipe), jit_compile=jit)
    labels, weights = labels_of(samples.iloc[rows])
    heads.fit(
        features,
        labels,
        sample_weight=weights,
        batch_size=EVALUATION_BATCH,
        epochs=HEAD_EPOCHS,
        verbose=0,
    )
