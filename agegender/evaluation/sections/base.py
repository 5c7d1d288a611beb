"""What every section of the report is made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agegender.evaluation.evaluated_faces import LeftOut, count_left_out

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

    def left_out(self) -> LeftOut:
        """Count the split's faces that do not count."""
        return count_left_out(
            self.run, self.dataset, self.split, self.predictions, limit=self.limit
        )
