"""Faces with their pictures for the report: samples with heatmaps, and the worst mistakes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from agegender.config import GENDER_NAMES, SEED
from agegender.errors import InvalidImageError
from agegender.images import read_image
from agegender.model.answer import probability_of
from agegender.model.preprocessing import InputSpec, prepare
from agegender.prediction.words import confidence_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agegender.training.run import Run

PICTURE_SIZE = 160
"""Side of a card's pictures, in pixels."""


@dataclass(frozen=True)
class FaceCard:
    """A face with its pictures and what is said about it.

    Attributes:
        pictures: RGB, uint8, by their caption; all of a figure's cards have
            equally many.
        truth: The labels, in a few words.
        answer: The model's answers, in a few words.
        confidence: How sure the gender is, in words.
        is_wrong: Whether the gender is wrong.
    """

    pictures: dict[str, NDArray[np.uint8]]
    truth: str
    answer: str
    confidence: str
    is_wrong: bool = False


def worst_ages(predictions: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the faces whose predicted age is off by most, the worst first.

    Args:
        predictions: As in `compute_metrics`.
        count: At most so many.
    """
    errors = (predictions["age_pred"] - predictions["age"]).abs()
    return predictions.loc[errors.sort_values(ascending=False, kind="stable").index[:count]]


def worst_genders(predictions: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the faces whose gender is wrong, the surest answer first.

    Args:
        predictions: As in `compute_metrics`.
        count: At most so many; fewer where fewer are wrong.
    """
    wrong = predictions[predictions["gender"] != predictions["gender_pred"]]
    sureness = (wrong["p_female"] - 0.5).abs()
    return wrong.loc[sureness.sort_values(ascending=False, kind="stable").index[:count]]


def samples(predictions: pd.DataFrame, count: int, *, seed: int = SEED) -> pd.DataFrame:
    """Draw faces by chance, youngest first, so that nobody picked the pretty ones.

    Args:
        predictions: As in `compute_metrics`.
        count: At most so many.
        seed: Of the draw.
    """
    drawn = predictions.sample(min(count, len(predictions)), random_state=seed)
    return drawn.sort_values("age", kind="stable")


def face_cards(folder: Path, rows: pd.DataFrame, crop: float) -> list[FaceCard]:
    """Make a card with the picture for each face.

    Args:
        folder: The dataset folder.
        rows: Some predictions.
        crop: Share of the frame that the model sees (see `InputSpec`).

    Returns:
        A card for each face whose picture can still be read.
    """
    return [
        _card({"": _square(picture, crop)}, row) for picture, row in _with_pictures(folder, rows)
    ]


def explained_cards(run: Run, folder: Path, rows: pd.DataFrame) -> list[FaceCard]:
    """Make a card with the picture and both heads' heatmaps for each face.

    Args:
        run: A run with a trained model.
        folder: The dataset folder.
        rows: Some predictions of the run.

    Returns:
        A card for each face whose picture can still be read: the picture,
        what raises and lowers the age, what speaks for the predicted gender.

    Raises:
        ModelNotFoundError, InvalidModelError, RunError: If the model cannot be loaded.
    """
    from agegender.explanation.overlay import overlay_heatmap
    from agegender.prediction.predictor import load_predictor

    predictor = load_predictor(run)
    cards = []
    for picture, row in _with_pictures(folder, rows):
        square = _square(picture, predictor.spec.crop)
        explanation = predictor.explain(picture)
        gender = GENDER_NAMES[row["gender_pred"]]
        pictures = {
            "": square,
            "age": overlay_heatmap(square, explanation.age, signed=True),
            gender: overlay_heatmap(square, explanation.gender(gender)),
        }
        cards.append(_card(pictures, row))
    return cards


def _with_pictures(
    folder: Path, rows: pd.DataFrame
) -> Iterator[tuple[NDArray[np.uint8], dict[Any, Any]]]:
    """Read the picture of each row, and pass over those that cannot be read."""
    for row in rows.to_dict("records"):
        try:
            picture = read_image(folder / row["file"])
        except InvalidImageError:
            continue
        yield picture, row


def _square(picture: NDArray[np.uint8], crop: float) -> NDArray[np.uint8]:
    """Cut out what the model sees, at a size for people."""
    return prepare(picture, InputSpec(PICTURE_SIZE, crop))


def _card(pictures: dict[str, NDArray[np.uint8]], row: Mapping[Any, Any]) -> FaceCard:
    confidence = float(probability_of(row["gender_pred"], row["p_female"]))
    return FaceCard(
        pictures,
        truth=f"{GENDER_NAMES[row['gender']]}, {row['age']}",
        answer=f"{GENDER_NAMES[row['gender_pred']]}, {row['age_pred']:.0f}",
        confidence=confidence_words(confidence),
        is_wrong=row["gender_pred"] != row["gender"],
    )
