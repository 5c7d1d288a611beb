"""Grad-CAM for both heads: which parts of the picture an answer rests on.

The method is that of Selvaraju et al., "Grad-CAM: Visual Explanations from Deep
Networks via Gradient-based Localization", ICCV 2017, equations 1 and 2: the
channels of a convolutional layer are added up, each weighted by the mean
gradient of the answer with respect to it. For a regression the sign is kept,
since "what makes the face look younger" is half of the explanation; for a class
only what speaks for it is kept. Its answer is the log-odds, the difference of the
two logits: by itself a logit means nothing, for the same may be added to both
without changing a probability.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agegender.config import GENDER_NAMES, SEED

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MALE, _FEMALE = (GENDER_NAMES.index(name) for name in ("male", "female"))

MIN_CELLS = 7
"""Cells per side that a layer must have; a coarser map points at nothing."""

_explainers: weakref.WeakKeyDictionary[Any, Explainer] = weakref.WeakKeyDictionary()
_explainers_lock = threading.Lock()


@dataclass(frozen=True)
class Explanation:
    """Heatmaps for one face, averaged over the face and its mirror image.

    The maps have the layer's own resolution; `overlay.resize_heatmap` enlarges
    them. They lie over the square that `prepare` cuts out, not over the frame.

    Attributes:
        age: Signed, float32, shape (rows, columns), in [-1, 1]. Above 0: raises
            the predicted years; below 0: lowers them. Divided by its own largest
            absolute value.
        male: What speaks for "male", float32, same shape, in [0, 1].
        female: What speaks for "female", the same. Both are divided by the larger
            of their two maxima, so that their strengths can be compared; a map is
            all zeros when nothing speaks for its class.
        layer: Name of the layer that the maps come from.
    """

    age: NDArray[np.float32]
    male: NDArray[np.float32]
    female: NDArray[np.float32]
    layer: str

    def gender(self, name: str) -> NDArray[np.float32]:
        """Return the map of a gender by its name.

        Raises:
            ValueError: If the name is not in `GENDER_NAMES`.
        """
        if name not in GENDER_NAMES:
            raise ValueError(f"gender is {name!r}, but must be one of {GENDER_NAMES}")
        return self.male if name == "male" else self.female


def explain(model: Any, rgb: NDArray[np.uint8]) -> Explanation:
    """Compute the heatmaps of both heads for one face.

    The graph is compiled at the first call for a model and kept as long as the
    model lives; later calls from any thread use it.

    Args:
        model: What `build_model` returns, or another flat two-headed `keras.Model`
            with layers `age` and `gender` (a `Dense` with softmax).
        rgb: The face as `prepare` gives it: RGB, uint8, shape (size, size, 3).

    Returns:
        Maps of the average of the answers for the face and its mirror image.

    Raises:
        ValueError: If the picture has another shape than the model's input.
    """
    with _explainers_lock:
        explainer = _explainers.get(model)
        if explainer is None:
            explainer = _explainers[model] = Explainer(model)
    return explainer(rgb)


def heatmap_layer(model: Any) -> Any:
    """Choose the layer to explain from: the last with at least 7 x 7 cells.

    Later layers know more about the answer, earlier ones know better where. At
    224 pixels this is the last residual block of ResNet50 (`conv5_block3_out`),
    at 160 that of its fourth stage. Where no layer has that many cells, the last
    of those with the most.

    Args:
        model: A flat `keras.Model` over pictures.

    Raises:
        ValueError: If no layer behind the first convolution keeps the picture's
            two dimensions.
    """
    spatial: list[tuple[int, Any]] = []
    for layer in model.layers:
        shape = layer.output.shape
        # Before the first weights there is only the picture itself.
        if len(shape) == 4 and (layer.weights or spatial):
            spatial.append((min(shape[1], shape[2]), layer))
    if not spatial:
        raise ValueError(f"model {model.name!r} has no convolutional layer to explain")
    wanted = min(MIN_CELLS, max(cells for cells, _ in spatial))
    return [layer for cells, layer in spatial if cells >= wanted][-1]


class Explainer:
    """Grad-CAM of one model, compiled once and safe to call from several threads."""

    def __init__(self, model: Any) -> None:
        import keras
        import tensorflow as tf

        layer, gender = heatmap_layer(model), model.get_layer("gender")
        graph = keras.Model(
            model.inputs[0], [layer.output, model.get_layer("age").output, gender.input]
        )
        self.layer: str = layer.name
        self.input_shape: tuple[int, int, int] = tuple(model.inputs[0].shape[1:])

        def weighted_maps(rgb: Any) -> Any:
            with tf.GradientTape(persistent=True) as tape:
                # Nothing else would be recorded when all weights are frozen.
                tape.watch(rgb)
                cells, years, trunk = graph(rgb, training=False)
                logits = tf.matmul(trunk, gender.kernel) + gender.bias
                log_odds = logits[:, _FEMALE] - logits[:, _MALE]
                # One sum per answer: the faces of a batch do not see each other.
                answers = tf.reduce_sum(years), tf.reduce_sum(log_odds)
            maps = []
            for answer in answers:
                gradient = tape.gradient(answer, cells)
                weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
                maps.append(tf.reduce_sum(weights * cells, axis=-1))
            return tf.cast(tf.stack(maps, axis=1), tf.float32)

        signature = [tf.TensorSpec((2, *self.input_shape), tf.float32)]
        self._weighted_maps = tf.function(weighted_maps, input_signature=signature)

    def __call__(self, rgb: NDArray[np.uint8]) -> Explanation:
        """Explain one face; see `explain`."""
        if rgb.shape != self.input_shape:
            raise ValueError(
                f"the picture has shape {rgb.shape}, but the model takes {self.input_shape}"
            )
        views = np.stack([rgb, rgb[:, ::-1]]).astype(np.float32)
        plain, mirrored = np.asarray(self._weighted_maps(views))
        age, gender = (plain + mirrored[:, :, ::-1]) / 2
        # What speaks against the one speaks for the other.
        female, male = gender.clip(min=0), (-gender).clip(min=0)
        gender_scale = np.abs(gender).max()
        return Explanation(
            age=_divide(age, np.abs(age).max()),
            male=_divide(male, gender_scale),
            female=_divide(female, gender_scale),
            layer=self.layer,
        )


def _divide(heatmap: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Divide a map by a scale; a map of zeros stays one."""
    return np.asarray(heatmap / scale if scale > 0 else heatmap, dtype=np.float32)


@dataclass(frozen=True)
class SanityStep:
    """How much of some faces' maps is left after some weights have been destroyed.

    Attributes:
        destroyed: Name of the last part that was destroyed, of all those so far.
        age: Spearman's rank correlation of the age maps with those of the whole
            model, in [-1, 1]; 0 when a map is gone; mean over the faces.
        male: The same for the maps of "male".
        female: The same for the maps of "female".
    """

    destroyed: str
    age: float
    male: float
    female: float


def sanity_check(
    model: Any,
    faces: Sequence[NDArray[np.uint8]],
    *,
    draws: int = 5,
    seed: int = SEED,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[SanityStep]:
    """Destroy the weights from the heads downwards and watch the maps change.

    Maps that stay the same would show the picture's edges rather than what the
    model has learned: the cascading randomisation of Adebayo et al., "Sanity Checks
    for Saliency Maps", NeurIPS 2018. Every array of weights is shuffled, which
    keeps its scale and destroys what it has learned. It happens on a copy.

    Args:
        model: What `explain` takes; it stays as it is.
        faces: As `prepare` gives them: RGB, uint8, shape (size, size, 3), at least
            one.
        draws: Times that the weights are destroyed; correlations are the means,
            since two unrelated maps of few cells can look alike by chance.
        seed: Where the shuffling starts.
        on_progress: Called with (done, total), in destroyed models.

    Returns:
        One step per part, from the heads down to the first convolution.
    """
    import keras

    copy = keras.models.clone_model(model)
    explainer = Explainer(copy)
    original = model.get_weights()
    copy.set_weights(original)
    wholes = [explainer(face) for face in faces]
    rng = np.random.default_rng(seed)
    parts = _parts(copy)
    totals = np.zeros((len(parts), 3))
    for draw in range(draws):
        copy.set_weights(original)
        for number, layers in enumerate(parts.values()):
            for layer in layers:
                weights = layer.get_weights()
                layer.set_weights([rng.permuted(array, axis=None) for array in weights])
            for face, whole in zip(faces, wholes, strict=True):
                broken = explainer(face)
                totals[number] += [
                    _rank_correlation(getattr(whole, name), getattr(broken, name))
                    for name in ("age", "male", "female")
                ]
            if on_progress is not None:
                on_progress(draw * len(parts) + number + 1, draws * len(parts))
    return [
        SanityStep(name, *(float(total) for total in row))
        for name, row in zip(parts, totals / (draws * len(faces)), strict=True)
    ]


def _parts(model: Any) -> dict[str, list[Any]]:
    """Group the layers with weights into heads and stages, from the last to the first.

    ResNet50's layers are named after their stage, as in "conv4_block6_2_conv";
    dense layers are the heads.
    """
    parts: dict[str, list[Any]] = {}
    for layer in reversed(model.layers):
        if layer.weights:
            is_stage = len(layer.output.shape) == 4
            name = layer.name.split("_")[0] if is_stage else "heads"
            parts.setdefault(name, []).append(layer)
    return parts


def _rank_correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Spearman's rank correlation of two maps; 0 when one says nothing."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    # SciPy's statistics take two seconds to import, and only this check needs them.
    from scipy.stats import spearmanr

    return float(spearmanr(one.ravel(), other.ravel()).statistic)
