"""The heatmaps of many faces: can they be trusted, and what do they look like on average?"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from agegender.config import SEED
from agegender.errors import DatasetError, InvalidImageError
from agegender.evaluation.evaluated_faces import select_faces
from agegender.evaluation.kept import kept_counts, kept_folder
from agegender.evaluation.looks import log_look
from agegender.evaluation.strata import draw_stratified
from agegender.explanation.faithfulness import (
    KINDS,
    Kind,
    age_change,
    center_map,
    curve_pictures,
    gender_change,
    pixel_order,
    random_map,
)
from agegender.explanation.gradcam import sanity_check
from agegender.images import read_image
from agegender.storage import write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agegender.dataset.dataset import Dataset
    from agegender.prediction.predictor import Predictor
    from agegender.training.run import Run

FOLDER = "heatmaps"

HEATMAPS_VERSION = 2
"""Part of the key of kept results; raised when they would come out otherwise."""

FACES = 100
"""Faces by default."""

SANITY_FACES = 10
SANITY_DRAWS = 3

HEADS = ("age", "gender")
OTHER_MAPS = ("random", "centre")
"""What the maps of the heads are compared with."""

MAPS = (*HEADS, *OTHER_MAPS)

_SANITY_FILE = "sanity.json"
"""Written last: where it is, all else is, too."""


@dataclass(frozen=True)
class HeatmapCheck:
    """What was found about the heatmaps of n faces.

    Attributes:
        faces: Their labels, a row each: `age`, `gender`, `race`.
        maps: By head, float32, shape (n, rows, columns); for gender that of the
            answered one.
        ages: Years along the curves, float32, shape (n, len(MAPS), len(KINDS),
            STEPS + 1).
        p_female: Probability of "female" there, same shape.
        sanity: What `sanity_check` found, a row for each step, over some of the faces.
    """

    faces: pd.DataFrame
    maps: dict[str, NDArray[np.float32]]
    ages: NDArray[np.float32]
    p_female: NDArray[np.float32]
    sanity: pd.DataFrame

    def changes(self, head: str, name: str, kind: Kind) -> NDArray[np.float32]:
        """Return the curves of one head along one map.

        Args:
            head: One of `HEADS`.
            name: The head itself for its own map, or one of `OTHER_MAPS`.
            kind: One of `KINDS`.

        Returns:
            Years for age, probability for gender, shape (n, STEPS + 1).
        """
        place = np.s_[:, MAPS.index(name), KINDS.index(kind)]
        if head == "age":
            return age_change(self.ages[place], kind)
        return gender_change(self.p_female[place], kind)


def measure_heatmaps(
    run: Run,
    dataset: Dataset,
    split: str,
    *,
    count: int = FACES,
    seed: int = SEED,
    on_progress: Callable[[int, int], None] | None = None,
) -> HeatmapCheck:
    """Check the heatmaps of faces of every age band, gender and race group alike.

    Each face is kept in the run's folder (in the workspace for the shipped run)
    and used again as long as model, faces and labels are the same: an exception that
    `on_progress` raises costs one.

    Args:
        run: A run with trained heads.
        dataset: Where the faces are from.
        split: One of `evaluated_faces.SPLITS`.
        count: At most so many faces.
        seed: Of the draw, the random maps and the destroyed weights.
        on_progress: Called with (done, total): in faces, and anew in destroyed
            networks.

    Returns:
        The check of those faces whose pictures can be read.

    Raises:
        DatasetError: If the split holds no face that can be read.
        ModelNotFoundError, InvalidModelError, RunError: If the run has no model.
        StorageError: If the disk refuses.
        ValueError: If the split is unknown or the count is below 1.
    """
    faces = _draw(select_faces(dataset, split, run=run), count, seed)
    folder = _folder(run, split, faces, seed)
    found = _read(folder, faces)
    if found is None:
        from agegender.prediction.predictor import load_predictor

        predictor = load_predictor(run)
        for done, (file, sha256) in enumerate(zip(faces["file"], faces["sha256"], strict=True), 1):
            if _read_face(folder, sha256) is None:
                _measure_face(predictor, dataset.path(file), sha256, folder, seed)
            if on_progress is not None:
                on_progress(done, len(faces))
        usable = faces[[_face_file(folder, sha256).exists() for sha256 in faces["sha256"]]]
        if usable.empty:
            raise DatasetError(
                f"None of the faces chosen from {dataset.folder} can be read; "
                "index the folder again with `python -m agegender index`."
            )
        files = _draw(usable, SANITY_FACES, seed)["file"]
        pictures = [predictor.prepare(read_image(dataset.path(file))) for file in files]
        steps = sanity_check(
            predictor.model, pictures, draws=SANITY_DRAWS, seed=seed, on_progress=on_progress
        )
        write_json(folder / _SANITY_FILE, [asdict(step) for step in steps])
        found = _read(folder, faces)
    log_look(run, dataset.folder, split, faces)
    assert found is not None, "all parts have just been written"
    return found


def read_heatmaps(
    run: Run, dataset: Dataset, split: str, *, seed: int = SEED
) -> HeatmapCheck | None:
    """Read what `measure_heatmaps` has kept for a run and a split.

    Returns:
        The check of the most faces that was done to the end; None if there is none.

    Raises:
        DatasetError: If the split holds no face.
        ModelNotFoundError, InvalidModelError, RunError: If the run has no model.
    """
    counts = kept_counts(run, FOLDER, split)
    faces = select_faces(dataset, split, run=run) if counts else pd.DataFrame()
    for count in counts:
        drawn = _draw(faces, count, seed)
        found = _read(_folder(run, split, drawn, seed), drawn)
        if found is not None:
            return found
    return None


def _draw(faces: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    # Groups are compared, so the small ones need faces, too.
    return draw_stratified(faces, count, seed=seed, balanced=True)


def _folder(run: Run, split: str, faces: pd.DataFrame, seed: int) -> Path:
    return kept_folder(run, FOLDER, split, faces, f"{FOLDER}:{HEATMAPS_VERSION}:{seed}")


def _measure_face(predictor: Predictor, path: Path, sha256: str, folder: Path, seed: int) -> None:
    """Keep the maps and curves of one face; nothing if it cannot be read."""
    try:
        image = read_image(path)
    except InvalidImageError:
        return
    face = predictor.prepare(image)
    [answer] = predictor.predict_prepared([face])
    explanation = predictor.explain(image)
    rng = np.random.default_rng([seed, int(sha256[:8], 16)])
    own = {"age": explanation.age, "gender": explanation.gender(answer.gender)}
    cells = explanation.age.shape
    maps = [*own.values(), random_map(cells, rng), center_map(cells)]
    pictures: list[NDArray[np.uint8]] = []
    for heatmap in maps:
        order = pixel_order(heatmap, len(face), rng)
        for kind in KINDS:
            pictures += list(curve_pictures(face, order, kind))
    answers = predictor.predict_prepared(pictures)
    shape = (len(maps), len(KINDS), -1)
    kept = {
        "maps": {head: heatmap.tolist() for head, heatmap in own.items()},
        "ages": np.reshape([one.age for one in answers], shape).tolist(),
        "p_female": np.reshape([one.p_female for one in answers], shape).tolist(),
    }
    write_json(_face_file(folder, sha256), kept)


def _face_file(folder: Path, sha256: str) -> Path:
    return folder / f"face-{sha256[:16]}.json"


def _read_face(folder: Path, sha256: str) -> dict[str, Any] | None:
    """Read what is kept of a face; None if there is nothing, or it is damaged."""
    try:
        kept = json.loads(_face_file(folder, sha256).read_text(encoding="utf-8"))
        return {name: kept[name] for name in ("maps", "ages", "p_female")}
    except (OSError, ValueError, KeyError):
        return None


def _read(folder: Path, faces: pd.DataFrame) -> HeatmapCheck | None:
    """Read a check that was done to the end."""
    try:
        sanity = pd.DataFrame(json.loads((folder / _SANITY_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
    kept = [_read_face(folder, sha256) for sha256 in faces["sha256"]]
    for one, sha256 in zip(kept, faces["sha256"], strict=True):
        # A face without a file could not be read; a damaged one has to be done again.
        if one is None and _face_file(folder, sha256).exists():
            return None
    usable = [one for one in kept if one is not None]
    if not usable:
        return None
    return HeatmapCheck(
        faces.loc[[one is not None for one in kept], ["age", "gender", "race"]],
        {head: np.array([one["maps"][head] for one in usable], np.float32) for head in HEADS},
        np.array([one["ages"] for one in usable], np.float32),
        np.array([one["p_female"] for one in usable], np.float32),
        sanity,
    )
