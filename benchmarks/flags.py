"""Measure which worsened faces, and which pictures of no face, get a flag.

    python benchmarks/flags.py --dataset UTKFace

Takes faces of the calibration half of validation, on which no flag's threshold was set,
worsens each in its frame in many ways, and asks the shipped model. Prints one table in
Markdown; docs/uncertainty.md keeps it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

# The folder is run by path, so the project is not on Python's own.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from face_detection import faceless

from agegender.cli import exit_code
from agegender.config import FRAME_SIZE, SEED
from agegender.dataset.dataset import open_dataset
from agegender.evaluation.evaluated_faces import select_faces
from agegender.evaluation.tables import markdown
from agegender.images import read_image
from agegender.model.preprocessing import InputSpec, prepare
from agegender.prediction.predictor import Prediction, load_predictor
from agegender.prediction.quality import BLURRED, DARK, crop_flags
from agegender.training.runs import find_run

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def blurred(sigma: float) -> Change:
    """Blur by a Gaussian, in pixels of the frame."""
    return lambda face, rng: cv2.GaussianBlur(face, (0, 0), sigma)


def noisy(sigma: float) -> Change:
    """Add noise of so many grey levels."""
    return lambda face, rng: (face + rng.normal(0, sigma, face.shape)).clip(0, 255).astype(np.uint8)


def shrunk(side: int) -> Change:
    """Leave so many pixels along each side, enlarged again."""

    def change(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, face.shape[1::-1], interpolation=cv2.INTER_CUBIC)

    return change


def darkened(share: float) -> Change:
    """Leave a share of the values."""
    return lambda face, rng: (face * share).astype(np.uint8)


def covered(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lay grey over the middle, half of each side."""
    result = face.copy()
    quarter = FRAME_SIZE // 4
    result[quarter:-quarter, quarter:-quarter] = 127
    return result


CHANGES: dict[str, Change] = {
    "none": lambda face, rng: face,
    **{f"blur, sigma {sigma} px": blurred(sigma) for sigma in (1, 2, 4, 8, 14)},
    **{f"noise, sigma {sigma} of 255": noisy(sigma) for sigma in (40, 80)},
    **{f"{side} px wide": shrunk(side) for side in (64, 32, 16, 8)},
    **{f"all values times {share}": darkened(share) for share in (0.5, 0.33, 0.12)},
    "upside down": lambda face, rng: face[::-1, ::-1].copy(),
    "on its side": lambda face, rng: np.rot90(face).copy(),
    "middle covered": covered,
    "colours inverted": lambda face, rng: 255 - face,
}


def row(name: str, faces: list[np.ndarray], predictions: list[Prediction]) -> tuple[str, ...]:
    """Count the flags; a picture may have several."""
    flags = [set(crop_flags(face)) for face in faces]
    shares = (
        np.mean([BLURRED in found for found in flags]),
        np.mean([DARK in found for found in flags]),
        np.mean([bool(one.unfamiliar) for one in predictions]),
    )
    return (name, f"{len(faces)}", *(f"{share:.0%}" for share in shares))


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", type=Path, required=True, help="folder with UTKFace's faces")
    parser.add_argument("--count", type=int, default=250, help="faces (default: %(default)s)")
    args = parser.parse_args(argv)
    run = find_run("shipped")
    dataset = open_dataset(args.dataset)
    table = select_faces(dataset, "validation", run=run)
    table = table[table["is_calibration"]]
    table = table.sample(min(args.count, len(table)), random_state=SEED)
    predictor = load_predictor(run)
    frame = InputSpec(FRAME_SIZE)
    faces = [prepare(read_image(dataset.path(file)), frame) for file in table["file"]]
    true = table["age"].to_numpy(np.float64)
    rows, as_is = [], np.empty(0)
    for name, change in CHANGES.items():
        rng = np.random.default_rng(SEED)
        changed = [change(face, rng) for face in faces]
        predictions = predictor.predict(changed)
        age = np.array([one.age for one in predictions])
        as_is = age if name == "none" else as_is
        within = [
            one.age_low <= years <= one.age_high
            for one, years in zip(predictions, true, strict=True)
            if one.age_low is not None and one.age_high is not None
        ]
        moved = "" if name == "none" else f"{np.abs(age - as_is).mean():.1f}"
        figures = (moved, f"{np.abs(age - true).mean():.1f}", f"{np.mean(within):.0%}")
        rows.append((*row(name, changed, predictions), *figures))
        print(f"{name}: done", file=sys.stderr)
    pictures = [prepare(image, frame) for image, _ in faceless()]
    rows.append((*row("no face", pictures, predictor.predict(pictures)), "", "", ""))
    columns = [
        "Change", "Pictures", "Blurred", "Dark", "Unfamiliar", "Answer moves, years",
        "MAE, years", "Within 90%",
    ]  # fmt: skip
    import pandas as pd

    print(markdown(pd.DataFrame(rows, columns=columns)))
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
