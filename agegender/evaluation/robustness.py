"""How much worse the answers get when the pictures do.

Every corruption at every strength is a cell: the answers for the same faces, kept
as soon as they are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from agegender.config import FRAME_SIZE, SEED
from agegender.dataset.tables import read_table, write_table
from agegender.errors import DatasetError, InvalidImageError
from agegender.evaluation.corruptions import (
    CORRUPTIONS,
    CORRUPTIONS_VERSION,
    LEVELS,
    Corruption,
    corrupt,
)
from agegender.evaluation.evaluated_faces import select_faces
from agegender.evaluation.intervals import bootstrap_mean, wilson
from agegender.evaluation.kept import LABELS, kept_counts, kept_folder
from agegender.evaluation.looks import log_look
from agegender.evaluation.strata import draw_stratified
from agegender.images import read_image
from agegender.model.answer import answered_gender
from agegender.model.preprocessing import InputSpec, prepare

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agegender.dataset.dataset import Dataset
    from agegender.prediction.predictor import Prediction
    from agegender.training.run import Run

KIND = "robustness"
FACES = 500
"""Faces by default: the MAE is then known to about half a year."""

CLEAN = "clean"
"""Name of the cell of the pictures as they are."""

ANSWERS = ("age_pred", "p_female", "gender_pred", "age_low", "age_high", "unfamiliar")

READINGS = {
    "mae": ("Age MAE, years", ".1f"),
    "accuracy": ("Gender accuracy", ".1%"),
    "age_change": ("Mean absolute change of the answered age, years", ".1f"),
    "gender_change": ("Share of faces whose answered gender changes", ".1%"),
    "width": ("Mean width of the 90% interval, years", ".1f"),
    "unfamiliar": ("Share of faces flagged as unfamiliar", ".1%"),
}
"""What a table for people can hold, with its title and number format."""

_COLUMNS = (*LABELS, *ANSWERS)
_FRAME = InputSpec(FRAME_SIZE)

_Cell = tuple[Corruption | None, int]
"""What is done to the faces of a cell, and its level."""


def measure_robustness(
    run: Run,
    dataset: Dataset,
    split: str,
    *,
    count: int = FACES,
    seed: int = SEED,
    corruptions: Sequence[Corruption] = CORRUPTIONS,
    on_progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Answer for stratified faces under every corruption at every strength.

    Each cell is kept in the run's folder (in the workspace for the shipped
    run) and used again as long as model, faces and labels are the same: an exception
    that `on_progress` raises costs one.

    Args:
        run: A run with trained heads.
        dataset: Where the faces are from.
        split: One of `evaluated_faces.SPLITS`.
        count: At most so many faces; all of them are in memory (120 kB each).
        seed: Of the draw and of the corruptions' chance.
        corruptions: What to do to the faces.
        on_progress: Called with (done, total), in answers.

    Returns:
        What `read_robustness` describes.

    Raises:
        DatasetError: If the split holds no face that can be read.
        ModelNotFoundError, InvalidModelError, RunError: If the run has no model.
        StorageError: If the disk refuses.
        ValueError: If the split is unknown or the count is below 1.
    """
    faces = draw_stratified(select_faces(dataset, split, run=run), count, seed=seed)
    folder = _folder(run, split, faces, seed)
    cells = _cells(corruptions)
    parts = _read(folder, cells)
    missing = [name for name in cells if name not in parts]
    done, total = (len(cells) - len(missing)) * len(faces), len(cells) * len(faces)
    if on_progress is not None:
        on_progress(done, total)
    if missing:
        # TensorFlow is loaded only when there is something to answer.
        from agegender.prediction.predictor import load_predictor

        predictor = load_predictor(run)
        rows, frames = _read_frames(dataset.folder, faces)

        def pictures(name: str) -> Iterator[NDArray[np.uint8]]:
            nonlocal done
            corruption, level = cells[name]
            for frame, key in zip(frames, rows["sha256"], strict=True):
                yield (
                    frame
                    if corruption is None
                    else corrupt(frame, corruption, level, key=key, seed=seed)
                )
                done += 1
                if on_progress is not None:
                    on_progress(done, total)

        for name in missing:
            answers = _table(predictor.predict(pictures(name)))
            parts[name] = pd.concat([rows, answers], axis=1)
            write_table(parts[name], folder / f"{name}.parquet")
            # Pictures that cannot be read count as done.
            done += len(faces) - len(rows)
    log_look(run, dataset.folder, split, faces)
    return _join(parts, cells)


def read_robustness(
    run: Run,
    dataset: Dataset,
    split: str,
    *,
    seed: int = SEED,
    corruptions: Sequence[Corruption] = CORRUPTIONS,
) -> pd.DataFrame | None:
    """Read what `measure_robustness` has kept for a run and a split.

    Returns:
        A row for each face of each cell, of the largest number of faces that was
        measured to the end: `corruption` (a name, or `CLEAN`), `level` (0 for the
        latter), `LABELS`, and `ANSWERS`: years, probability, index into
        GENDER_NAMES, ends of the 90% interval in years, and 1 for unfamiliar, 0
        for not; the last three NaN where the run cannot tell. None when there is
        nothing.

    Raises:
        DatasetError: If the split holds no face.
        ModelNotFoundError, InvalidModelError, RunError: If the run has no model.
    """
    counts = kept_counts(run, KIND, split)
    faces = select_faces(dataset, split, run=run) if counts else pd.DataFrame()
    for count in counts:
        folder = _folder(run, split, draw_stratified(faces, count, seed=seed), seed)
        cells = _cells(corruptions)
        parts = _read(folder, cells)
        if len(parts) == len(cells):
            return _join(parts, cells)
    return None


def robustness_table(answers: pd.DataFrame, *, seed: int = SEED) -> pd.DataFrame:
    """Sum up every cell.

    Args:
        answers: What `measure_robustness` returned.
        seed: Of the bootstrap.

    Returns:
        A row for each cell: `corruption`, `level`, `n`, `mae` (years) with
        `mae_low` and `mae_high`, `accuracy` (of gender) with `accuracy_low` and
        `accuracy_high` (95% intervals), `age_change` (mean absolute change of the
        answer in years from that for the picture as it is), `gender_change` (share of
        faces whose answered gender is another), `width` (of the 90% interval, years,
        mean) and `unfamiliar` (share), NaN where the run cannot tell.
    """
    clean = answers[answers["corruption"] == CLEAN]
    clean_age, clean_gender = clean["age_pred"].to_numpy(), clean["gender_pred"].to_numpy()
    rows = []
    for (name, level), cell in answers.groupby(["corruption", "level"], sort=False):
        errors = (cell["age_pred"] - cell["age"]).abs().to_numpy(np.float64)
        hits = int((cell["gender_pred"] == cell["gender"]).sum())
        mae_low, mae_high = bootstrap_mean(errors, seed=seed)
        accuracy_low, accuracy_high = wilson(hits, len(cell))
        rows.append(
            {
                "corruption": name,
                "level": level,
                "n": len(cell),
                "mae": errors.mean(),
                "mae_low": mae_low,
                "mae_high": mae_high,
                "accuracy": hits / len(cell),
                "accuracy_low": accuracy_low,
                "accuracy_high": accuracy_high,
                "age_change": np.abs(cell["age_pred"].to_numpy() - clean_age).mean(),
                "gender_change": (cell["gender_pred"].to_numpy() != clean_gender).mean(),
                "width": (cell["age_high"] - cell["age_low"]).mean(),
                "unfamiliar": cell["unfamiliar"].mean(),
            }
        )
    return pd.DataFrame(rows)


def reading_tables(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Lay the figures out for people: a table each, a row for each corruption.

    Args:
        table: What `robustness_table` returned.

    Returns:
        Titles and tables of text: `Corruption`, `Strengths`, and a column for the
        pictures as they are and for each level; figures that the run cannot give
        are left out.
    """
    [clean] = table[table["corruption"] == CLEAN].to_dict("records")
    shown = [one for one in CORRUPTIONS if one.name in set(table["corruption"])]
    tables = []
    for measure, (title, form) in READINGS.items():
        if np.isnan(clean[measure]):
            continue
        rows = []
        for one in shown:
            strengths = ", ".join(f"{strength:g}" for strength in one.strengths)
            corrupted = table.loc[table["corruption"] == one.name, measure]
            figures = [clean[measure], *corrupted.tolist()]
            rows.append((one.title, f"{strengths} ({one.unit})", *(f"{x:{form}}" for x in figures)))
        levels = [f"Level {level}" for level in range(1, LEVELS + 1)]
        columns = ["Corruption", "Strengths", "As is", *levels]
        tables.append((f"{title} (n = {clean['n']:,})", pd.DataFrame(rows, columns=columns)))
    return tables


def _folder(run: Run, split: str, faces: pd.DataFrame, seed: int) -> Path:
    return kept_folder(run, KIND, split, faces, f"{KIND}:{CORRUPTIONS_VERSION}:{seed}")


def _cells(corruptions: Sequence[Corruption]) -> dict[str, _Cell]:
    """Name every cell after its corruption, strength included."""
    cells: dict[str, _Cell] = {CLEAN: (None, 0)}
    for corruption in corruptions:
        for level in range(1, LEVELS + 1):
            strength = corruption.strengths[level - 1]
            cells[f"{corruption.name}-{level}-{strength:g}"] = (corruption, level)
    return cells


def _read(folder: Path, cells: dict[str, _Cell]) -> dict[str, pd.DataFrame]:
    """Read the cells that are kept, by name."""
    parts = {name: read_table(folder / f"{name}.parquet", _COLUMNS) for name in cells}
    return {name: part for name, part in parts.items() if part is not None}


def _join(parts: dict[str, pd.DataFrame], cells: dict[str, _Cell]) -> pd.DataFrame:
    """Put the answers of all cells into one table, in the order of the cells.

    Only of faces that all cells have: between two calls a picture may have become
    readable or no longer be so.
    """
    everywhere = set.intersection(*(set(part["file"]) for part in parts.values()))
    named = []
    for name, (corruption, level) in cells.items():
        place = CLEAN if corruption is None else corruption.name
        part = parts[name][parts[name]["file"].isin(everywhere)]
        named.append(part.assign(corruption=place, level=level))
    return pd.concat(named, ignore_index=True)


def _read_frames(folder: Path, faces: pd.DataFrame) -> tuple[pd.DataFrame, list[NDArray[np.uint8]]]:
    """Decode every face once, and leave those out that cannot be read."""
    frames, usable = [], []
    for file in faces["file"]:
        try:
            frames.append(prepare(read_image(folder / file), _FRAME))
        except InvalidImageError:
            usable.append(False)
        else:
            usable.append(True)
    if not frames:
        raise DatasetError(
            f"None of the {len(faces)} faces chosen from {folder} can be read; "
            "index the folder again with `python -m agegender index`."
        )
    return faces.loc[usable, list(LABELS)].reset_index(drop=True), frames


def _table(predictions: list[Prediction]) -> pd.DataFrame:
    """Lay answers out as columns of numbers."""
    table = pd.DataFrame(
        {
            "age_pred": [one.age for one in predictions],
            "p_female": [one.p_female for one in predictions],
            "age_low": [one.age_low for one in predictions],
            "age_high": [one.age_high for one in predictions],
            "unfamiliar": [one.unfamiliar for one in predictions],
        },
        dtype=np.float64,
    )
    gender = answered_gender(table["p_female"].to_numpy())
    return table.assign(gender_pred=gender)[list(ANSWERS)]
