"""A run's model as one Keras file, to take away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agegender.config import SEED
from agegender.errors import InvalidModelError
from agegender.model.answer import average_views, probability_of_female
from agegender.prediction.predictor import Predictor
from agegender.storage import replacing
from agegender.uncertainty.temperature import scale_probability

if TYPE_CHECKING:
    from agegender.training.run import Run

MAX_PARITY_YEARS = 0.01
MAX_PARITY_PROBABILITY = 0.001
"""How far an exported model may answer from the model it was made of."""


def export_model(run: Run, path: Path) -> None:
    """Write a run's model as one Keras file that needs nothing of this project.

    The graph takes what `prepare` gives (RGB, 0..255, shape (batch, size, size, 3))
    and answers with the average over the face and its mirror image: `age` in years,
    shape (batch, 1), and `gender`, probabilities in the order of `GENDER_NAMES`, as the
    heads give them, shape (batch, 2). How sure a run is does not travel with it. The
    file is read back and compared before it takes its place.

    Args:
        run: The run whose model to export.
        path: Where to, ending in `.keras`.

    Raises:
        ValueError: If the path has another ending.
        ModelNotFoundError: If the run has no weights.
        InvalidModelError: If the file does not answer as the model does.
        StorageError: If the disk refuses.
    """
    import keras

    if path.suffix != ".keras":
        raise ValueError(f"path is {path.name!r}, but must end in '.keras'")
    predictor = Predictor(run)
    inputs = keras.Input(predictor.model.inputs[0].shape[1:], name="rgb")
    plain = predictor.model(inputs)
    mirrored = predictor.model(keras.ops.flip(inputs, axis=2))
    age, gender = average_views(
        *(keras.ops.stack([plain[head], mirrored[head]]) for head in ("age", "gender")), axis=0
    )
    serving = keras.Model(inputs, {"age": age, "gender": gender}, name="agegender_both_views")
    with replacing(path) as part:
        serving.save(part)
        _check_parity(predictor, keras.models.load_model(part), path)


def _check_parity(predictor: Predictor, exported: Any, path: Path) -> None:
    """Compare the answers of a predictor and an exported model for noise."""
    size = predictor.spec.size
    faces = np.random.default_rng(SEED).integers(0, 256, (4, size, size, 3), dtype=np.uint8)
    answers = exported(faces.astype(np.float32), training=False)
    ages = np.asarray(answers["age"])[:, 0]
    p_female = probability_of_female(np.asarray(answers["gender"]))
    if (uncertainty := predictor.run.load_uncertainty()) is not None:
        # The file answers without it, the predictor with it.
        p_female = scale_probability(p_female, uncertainty.temperature)
    for number, expected in enumerate(predictor.predict_prepared(list(faces))):
        if not (
            abs(ages[number] - expected.age) <= MAX_PARITY_YEARS
            and abs(p_female[number] - expected.p_female) <= MAX_PARITY_PROBABILITY
        ):
            raise InvalidModelError(
                f"{path.name} was not written: read back, it answers {ages[number]:.2f} years "
                f"where the model answers {expected.age:.2f}; install the pinned requirements."
            )
