"""What every section of the report is made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agegender.dataset.split import is_copy
from agegender.evaluation.predictions import count_unreadable, find_seen, select_faces

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from agegender.dataset.dataset import Dataset
    from agegender.training.run import Run

Draw = Callable[[str, "Figure", str], tuple[str, str]]
"""Writes a figure's files, by (name, figure, caption), and gives (SVG text, caption)."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of a run.

    Attributes:
        run: The run.
        dataset: Where the faces are from.
        split: Which of its splits.
        limit: At most so many faces were drawn; None for all.
        seed: Of all chance.
        predictions: What `predict_faces` returned.
        metrics: What `compute_metrics` returned; with `photos`, what `photo_metrics`
            did, under that name.
        photos: What `answer_photos` returned; None if no photos were given.
    """

    run: Run
    dataset: Dataset
    split: str
    limit: int | None
    seed: int
    predictions: pd.DataFrame
    metrics: dict[str, Any]
    photos: pd.DataFrame | None = None

    def count_seen(self) -> int:
        """Count the split's faces that do not count, since the backbone knows them."""
        faces = select_faces(self.dataset, self.split)
        return int(find_seen(self.run, faces, self.split).sum())

    def count_copies(self) -> int:
        """Count the split's faces that do not count, since another one has their picture."""
        return int(is_copy(self.dataset.of(self.split)).sum())

    def count_unreadable(self) -> int:
        """Count the chosen faces whose pictures could not be read."""
        return count_unreadable(
            self.predictions, self.dataset, self.split, self.run, limit=self.limit
        )
