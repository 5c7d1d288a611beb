"""Answers for faces: age and gender from pixels, by one model."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from agegender.config import GENDER_NAMES
from agegender.explanation.gradcam import Explanation, explain
from agegender.model.answer import (
    Answers,
    answered_gender,
    average_views,
    probability_of,
    probability_of_female,
)
from agegender.model.architecture import FEATURE_COUNT, FEATURES_LAYER
from agegender.model.preprocessing import prepare
from agegender.uncertainty.uncertainty import answer_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agegender.training.run import Run

BATCH_SIZES = (1, 8, 32)
"""Faces per call of the network. Batches are filled up to one of these sizes:
a new shape at every call would make TensorFlow's caches grow call by call."""

MAX_BATCH = BATCH_SIZES[-1]

DISPLAY_SIZE = 448
"""Side of the pictures that heatmaps are laid over, in pixels."""

_MAX_LOADED = 2
_loaded: dict[tuple[str, int], Predictor] = {}
_loading = threading.Lock()


@dataclass(frozen=True)
class Prediction:
    """The answer for one face, averaged over the face and its mirror image.

    Attributes:
        age: Years, at least 0.
        p_female: Probability of "female", in [0, 1]; calibrated where the run
            knows how.
        age_low: Lower end of the 90% interval of the age, in years; None where
            the run knows none.
        age_high: Its upper end.
        unfamiliar: Whether the face is unlike those that the model learned
            from; None where the run cannot tell.
    """

    age: float
    p_female: float
    age_low: float | None = None
    age_high: float | None = None
    unfamiliar: bool | None = None

    @property
    def gender(self) -> str:
        """The more likely of `GENDER_NAMES`."""
        return GENDER_NAMES[int(answered_gender(self.p_female))]

    @property
    def confidence(self) -> float:
        """Probability of `gender`, in [0.5, 1]."""
        return float(probability_of(answered_gender(self.p_female), self.p_female))


class Predictor:
    """Predicts with the model of one run; any number of threads may share it.

    Memory is bounded: at most `MAX_BATCH` faces are in the network at once, and
    one caller at a time.

    Attributes:
        run: The run that the model is from.
        model: Its `keras.Model`, for explanations; not to be changed.
        spec: The input that pictures are prepared to.
    """

    def __init__(self, run: Run) -> None:
        """Load the model of a run.

        Raises:
            ModelNotFoundError: If the run has no weights.
            InvalidModelError: If they are damaged or of another architecture.
        """
        import tensorflow as tf

        self.run = run
        self.spec = run.weights().spec
        self.model: Any = run.load_model()
        self._uncertainty = run.load_uncertainty()
        self._lock = threading.Lock()
        network = _with_features(self.model)

        def both_views(rgb: Any) -> tuple[Any, ...]:
            pixels = tf.cast(rgb, tf.float32)
            views = tf.concat([pixels, tf.reverse(pixels, axis=[2])], axis=0)
            outputs = network(views, training=False)
            # (2 x batch, 1 or 2) -> (2, batch, 1 or 2): view, face, number
            age = tf.reshape(outputs["age"], (2, -1, 1))
            gender = tf.reshape(outputs["gender"], (2, -1, len(GENDER_NAMES)))
            features = tf.reshape(outputs[FEATURES_LAYER], (2, -1, FEATURE_COUNT))
            ages, genders = average_views(age, gender, axis=0)
            disagreement = tf.abs(age[0] - age[1])
            # In the order of `Answers`.
            return (
                ages[:, 0],
                probability_of_female(genders),
                disagreement[:, 0],
                tf.reduce_mean(features, axis=0),
            )

        shape = (None, self.spec.size, self.spec.size, 3)
        self._both_views = tf.function(both_views, input_signature=[tf.TensorSpec(shape, tf.uint8)])

    def prepare(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cut and scale a face crop to the model's input.

        Args:
            image: RGB, uint8, shape (height, width, 3).

        Returns:
            RGB, uint8, shape (spec.size, spec.size, 3).
        """
        return prepare(image, self.spec)

    def display_face(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cut out what `prepare` cuts out, in a size made for looking at.

        Args:
            image: RGB, uint8, shape (height, width, 3).

        Returns:
            RGB, uint8, square, `DISPLAY_SIZE` pixels wide: what heatmaps lie over.
        """
        return prepare(image, replace(self.spec, size=DISPLAY_SIZE))

    def predict(self, images: Iterable[NDArray[np.uint8]]) -> list[Prediction]:
        """Predict for face crops of any size.

        Args:
            images: RGB, uint8, shape (height, width, 3) each. They are taken one
                by one and shrunk at once, so a generator needs little memory.

        Returns:
            One prediction per image, in order.

        Raises:
            InvalidModelError: If the model answers with something that is no number.
        """
        predictions: list[Prediction] = []
        waiting: list[NDArray[np.uint8]] = []
        for image in images:
            waiting.append(self.prepare(image))
            if len(waiting) == MAX_BATCH:
                predictions += self.predict_prepared(waiting)
                waiting = []
        return predictions + self.predict_prepared(waiting)

    def predict_prepared(self, faces: Sequence[NDArray[np.uint8]]) -> list[Prediction]:
        """Predict for faces that `prepare` has been applied to already."""
        predictions: list[Prediction] = []
        for start in range(0, len(faces), MAX_BATCH):
            predictions += self._predict_batch(np.stack(faces[start : start + MAX_BATCH]))
        return predictions

    def explain(self, image: NDArray[np.uint8]) -> Explanation:
        """Compute the heatmaps of both heads for a face crop of any size.

        Args:
            image: RGB, uint8, shape (height, width, 3).

        Returns:
            Maps over the square that `prepare` cuts out of the image.
        """
        face = self.prepare(image)
        with self._lock:
            return explain(self.model, face)

    def _predict_batch(self, faces: NDArray[np.uint8]) -> list[Prediction]:
        """Predict for at most `MAX_BATCH` prepared faces."""
        count = len(faces)
        size = next(size for size in BATCH_SIZES if size >= count)
        filled = np.zeros((size, *faces.shape[1:]), dtype=np.uint8)
        filled[:count] = faces
        with self._lock:
            outputs = self._both_views(filled)
        answers = Answers(*(np.asarray(output)[:count] for output in outputs))
        columns = answer_columns(answers, self._uncertainty, run_id=self.run.id)
        rows = zip(*columns.values(), strict=True)
        return [Prediction(**dict(zip(columns, row, strict=True))) for row in rows]


def _with_features(model: Any) -> Any:
    """Return a model that shares all layers and gives the features as well."""
    import keras

    features = model.get_layer(FEATURES_LAYER).output
    return keras.Model(model.inputs, {**model.output, FEATURES_LAYER: features})


def load_predictor(run: Run) -> Predictor:
    """Return the predictor of a run, loaded once per process and state of the run.

    Two threads that ask at the same time get the same one; a run that has been
    trained further is loaded anew. The last two are kept.

    Raises:
        ModelNotFoundError: If the run has no weights.
        InvalidModelError: If they are damaged or of another architecture.
    """
    key = (str(run.folder), run.changed_ns)
    with _loading:
        predictor = _loaded.pop(key, None) or Predictor(run)
        _loaded[key] = predictor
        while len(_loaded) > _MAX_LOADED:
            del _loaded[next(iter(_loaded))]
        return predictor
