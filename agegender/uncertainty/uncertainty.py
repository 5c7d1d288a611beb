"""All that a run knows about how sure its answers are, in one file beside its heads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agegender.errors import InvalidModelError
from agegender.model.architecture import FEATURE_COUNT
from agegender.model.tensors import read_metadata, read_tensors, save_tensors
from agegender.uncertainty.familiarity import FLAGGED, Familiarity, fit_familiarity
from agegender.uncertainty.intervals import (
    MIN_FIT_FACES,
    MISS,
    PLAIN_COVARIATES,
    AgeIntervals,
    fit_intervals,
)
from agegender.uncertainty.temperature import fit_temperature, scale_probability

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agegender.model.answer import Answers

_TEMPERATURE = "gender.temperature"
_ARRAYS = ("knots", "center", "scale", "low", "high")
_NUMBERS = ("factor", "constant")
_NO_DIRECTIONS = np.zeros((FEATURE_COUNT, 0), np.float32)
_DIRECTIONS, _THRESHOLD = "familiarity.directions", "familiarity.threshold"


@dataclass(frozen=True)
class Assessment:
    """How sure the answers for n faces are.

    Attributes:
        age_low: Lower ends of the 90% intervals, years, shape (n,); None
            where there were too few faces to calibrate on.
        age_high: Their upper ends.
        p_female: Calibrated probability of "female", float64, shape (n,).
        unfamiliar: Which faces are unlike the training faces, bool, shape
            (n,); None where there were too few faces to tell.
    """

    age_low: NDArray[np.float64] | None
    age_high: NDArray[np.float64] | None
    p_female: NDArray[np.float64]
    unfamiliar: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Uncertainty:
    """What turns a run's answers into answers that say how sure they are.

    Attributes:
        temperature: Of the gender's logit; 1 where there were too few faces.
        intervals: Of the age, if there were faces enough.
        familiarity: What ordinary faces look like, if there were faces enough.
    """

    temperature: float
    intervals: AgeIntervals | None
    familiarity: Familiarity | None

    def assess(self, answers: Answers) -> Assessment:
        """Tell how sure answers are.

        Args:
            answers: Of the run's heads.
        """
        low, high = (None, None) if self.intervals is None else self.intervals.ends(answers)
        unfamiliar = None
        if self.familiarity is not None:
            unfamiliar = self.familiarity.is_unfamiliar(answers.features)
        p_female = scale_probability(answers.p_female, self.temperature)
        return Assessment(low, high, p_female, unfamiliar)


def answer_columns(
    answers: Answers, uncertainty: Uncertainty | None, *, run_id: str
) -> dict[str, list[Any]]:
    """Put answers beside how sure they are.

    Args:
        answers: Of a run's heads, for n faces.
        uncertainty: Of the same run; None where it has none.
        run_id: The run's name.

    Returns:
        Lists of n by the names of `predictor.Prediction`'s attributes, which say what they
        are; of None where the run cannot tell.

    Raises:
        InvalidModelError: If an answer is no number.
    """
    if not np.isfinite([answers.age, answers.p_female]).all():
        raise InvalidModelError(
            f"The model of run {run_id} answers with something that is no number; "
            "its weights are damaged: train it anew or choose another run."
        )
    if uncertainty is None:
        assessed = Assessment(None, None, answers.p_female.astype(np.float64), None)
    else:
        assessed = uncertainty.assess(answers)
    columns: dict[str, NDArray[Any] | None] = {
        "age": answers.age,
        "p_female": assessed.p_female,
        "age_low": assessed.age_low,
        "age_high": assessed.age_high,
        "unfamiliar": assessed.unfamiliar,
    }
    unknown = [None] * len(answers.age)
    return {
        name: unknown if values is None else values.tolist() for name, values in columns.items()
    }


@dataclass(frozen=True)
class AnsweredFaces:
    """Answers for faces with their labels.

    Attributes:
        answers: For n faces.
        age: True years, shape (n,).
        gender: Index into `GENDER_NAMES`, shape (n,).
    """

    answers: Answers
    age: NDArray[np.float32]
    gender: NDArray[np.int64]


def fit_uncertainty(
    train_features: NDArray[np.float32],
    selection: AnsweredFaces,
    calibration: AnsweredFaces,
    *,
    seed: int,
) -> Uncertainty:
    """Fit all of it, as far as there are faces enough.

    Args:
        train_features: Mean over both views of training faces, shape (n, 2048).
        selection: The selection half of validation.
        calibration: The calibration half; may be empty.
        seed: Of all chance.
    """
    temperature = 1.0
    if len(calibration.gender) >= MIN_FIT_FACES:
        temperature = fit_temperature(calibration.answers.p_female, calibration.gender)
    familiarity = fit_familiarity(train_features, selection.answers.features, seed=seed)
    intervals = fit_intervals(
        selection.answers,
        selection.age,
        calibration.answers,
        calibration.age,
        directions=_NO_DIRECTIONS if familiarity is None else familiarity.directions,
    )
    return Uncertainty(temperature, intervals, familiarity)


def save_uncertainty(
    uncertainty: Uncertainty, path: Path, *, heads: Path, selection: int, calibration: int
) -> None:
    """Write it as safetensors, with the JSON beside it.

    Args:
        uncertainty: What `fit_uncertainty` found.
        path: File to write, ending in .safetensors.
        heads: The file of the heads that it belongs to.
        selection: Faces of the selection half.
        calibration: Faces of the calibration half.

    Raises:
        StorageError: If the disk refuses.
    """
    tensors = {_TEMPERATURE: np.array([uncertainty.temperature])}
    if (intervals := uncertainty.intervals) is not None:
        for name in _ARRAYS:
            tensors[f"age.{name}"] = getattr(intervals, name)
        for name in _NUMBERS:
            tensors[f"age.{name}"] = np.array([getattr(intervals, name)])
    # In single precision the quantiles move by less than a minute.
    rounded = {name: values.astype(np.float32) for name, values in tensors.items()}
    if (familiarity := uncertainty.familiarity) is not None:
        rounded[_DIRECTIONS] = familiarity.directions.astype(np.float16)
        rounded[_THRESHOLD] = np.array([familiarity.threshold], np.float32)
    about: dict[str, Any] = {
        "heads_sha256": read_metadata(heads)["sha256"],
        "selection_faces": selection,
        "calibration_faces": calibration,
        "promised_coverage": None if intervals is None else 1 - MISS,
        "flagged_share": None if familiarity is None else FLAGGED,
        "temperature": uncertainty.temperature,
    }
    save_tensors(rounded, path, about)


def load_uncertainty(path: Path, *, heads: Path) -> Uncertainty:
    """Read what `save_uncertainty` wrote.

    Args:
        path: The safetensors file.
        heads: The file of the heads that it must belong to.

    Raises:
        ModelNotFoundError: If a file or the JSON beside it is missing.
        InvalidModelError: If it is damaged or belongs to other heads.
    """
    tensors = read_tensors(path)
    if read_metadata(path).get("heads_sha256") != read_metadata(heads)["sha256"]:
        raise InvalidModelError(
            f"{path} belongs to other heads than {heads.name} beside it; train a new run."
        )
    try:
        return _from_tensors(tensors)
    except (KeyError, ValueError) as error:
        raise InvalidModelError(
            f"{path} does not hold what it should ({error}); train a new run."
        ) from error


def _from_tensors(tensors: dict[str, NDArray[np.float32]]) -> Uncertainty:
    """Put the numbers of a file in their places.

    Raises:
        KeyError: If one is missing.
        ValueError: If one is of the wrong shape or no number.
    """
    if not all(np.isfinite(values).all() for values in tensors.values()):
        raise ValueError("something is no number")
    temperature = tensors[_TEMPERATURE].item()
    if temperature <= 0:
        raise ValueError(f"the temperature is {temperature}")
    intervals = familiarity = None
    directions = tensors.get(_DIRECTIONS, _NO_DIRECTIONS)
    if directions.ndim != 2 or directions.shape[0] != FEATURE_COUNT:
        raise ValueError(f"the directions have shape {directions.shape}")
    if _DIRECTIONS in tensors:
        familiarity = Familiarity(directions, tensors[_THRESHOLD].item())
    if f"age.{_NUMBERS[0]}" in tensors:
        knots, center, scale, low, high = (
            tensors[f"age.{name}"].astype(np.float64) for name in _ARRAYS
        )
        factor, constant = (tensors[f"age.{name}"].item() for name in _NUMBERS)
        # The first of familiarity's.
        used = directions[:, : max(0, len(center) - len(knots) - PLAIN_COVARIATES)]
        intervals = AgeIntervals(knots, used, center, scale, low, high, factor, constant)
    return Uncertainty(temperature, intervals, familiarity)
