"""Measure what averaging the answers for a few crops of a face gives, and costs.

    python benchmarks/crop_averaging.py --dataset UTKFace

Every answer is already the mean over the face and its mirror image. Here each is also
averaged over crops that are shifted, scaled or both, of validation faces as they are
and with the crop's place off by 5% and its scale by 10%, as a finder of faces may cut
them out. Prints one table in Markdown; docs/robustness.md keeps it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

# The folder is run by path, so the project is not on Python's own.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agegender.config import FRAME_SIZE
from agegender.dataset.dataset import open_dataset
from agegender.errors import AgeGenderError
from agegender.evaluation.corruptions import JITTER, LEVELS, corrupt
from agegender.evaluation.evaluated_faces import select_faces
from agegender.evaluation.strata import draw_stratified
from agegender.evaluation.tables import markdown
from agegender.images import read_image
from agegender.model.answer import answered_gender
from agegender.prediction.alignment import warp
from agegender.prediction.predictor import load_predictor
from agegender.training.runs import default_run, find_run

SHIFT = 0.05
SCALES = (0.92, 1.08)

AS_IS = (0.0, 0.0, 1.0)
SHIFTED = [(SHIFT, 0.0, 1.0), (-SHIFT, 0.0, 1.0), (0.0, SHIFT, 1.0), (0.0, -SHIFT, 1.0)]
SCALED = [(0.0, 0.0, scale) for scale in SCALES]
VIEWS = [AS_IS, *SHIFTED, *SCALED]
"""(shift to the right, shift down, scale), shifts in sides of the frame."""

CHOICES = {
    "the crop alone": [AS_IS],
    "with two scales": [AS_IS, *SCALED],
    "with four shifts": [AS_IS, *SHIFTED],
    "with all six": VIEWS,
}


def view(frame: np.ndarray, right: float, down: float, scale: float) -> np.ndarray:
    """Cut a face out somewhat differently."""
    center = (FRAME_SIZE - 1) / 2
    matrix = cv2.getRotationMatrix2D((center, center), 0, scale)
    matrix[:, 2] += FRAME_SIZE * np.array([right, down])
    return warp(frame, matrix, FRAME_SIZE)


def main(argv: Sequence[str] | None = None) -> int:
    """Answer for all views and print the table."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", type=Path, required=True, help="folder with UTKFace's faces")
    parser.add_argument("--run", help="id of a run (default: as elsewhere)")
    parser.add_argument("--limit", type=int, default=200, help="faces (default: %(default)s)")
    args = parser.parse_args(argv)
    try:
        run = default_run() if args.run is None else find_run(args.run)
        dataset = open_dataset(args.dataset)
        faces = draw_stratified(select_faces(dataset, "validation", run=run), args.limit)
        print(markdown(measure(run, dataset, faces)))
    except AgeGenderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def measure(run: object, dataset: object, faces: pd.DataFrame) -> pd.DataFrame:
    """Return the table: what each choice of crops gives."""
    predictor = load_predictor(run)
    frames = [read_image(dataset.path(file)) for file in faces["file"]]
    moved = [
        corrupt(frame, JITTER, LEVELS, key=key)
        for frame, key in zip(frames, faces["sha256"], strict=True)
    ]
    # Tracing the graph is no part of an answer's cost.
    predictor.predict(frames[:32])
    start = time.perf_counter()
    answers = [
        predictor.predict(view(frame, *place) for frame in kind for place in VIEWS)
        for kind in (frames, moved)
    ]
    milliseconds = 1000 * (time.perf_counter() - start) / (2 * len(faces) * len(VIEWS))
    # (as is or moved, face, view)
    shape = (2, len(faces), len(VIEWS))
    ages = np.reshape([one.age for kind in answers for one in kind], shape)
    females = np.reshape([one.p_female for kind in answers for one in kind], shape)
    true_age, true_gender = faces["age"].to_numpy(), faces["gender"].to_numpy()
    rows = []
    for name, places in CHOICES.items():
        chosen = [VIEWS.index(place) for place in places]
        age, female = ages[..., chosen].mean(axis=-1), females[..., chosen].mean(axis=-1)
        errors = np.abs(age - true_age).mean(axis=-1)
        hits = (answered_gender(female) == true_gender).mean(axis=-1)
        rows.append(
            (
                name,
                f"{errors[0]:.2f}",
                f"{errors[1]:.2f}",
                f"{np.abs(age[1] - age[0]).mean():.2f}",
                f"{hits[0]:.1%}",
                f"{hits[1]:.1%}",
                f"{milliseconds * len(places):.0f}",
            )
        )
    columns = [f"Crops (n = {len(faces)})", "MAE", "MAE, jittered", "Age moves by, years"]
    columns += ["Gender", "Gender, jittered", "ms a face"]
    return pd.DataFrame(rows, columns=columns)


if __name__ == "__main__":
    sys.exit(main())
