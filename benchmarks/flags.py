"""Measure which worsened faces, and which pictures of no face, get a flag.

    python benchmarks/flags.py --dataset UTKFace

Takes faces of the calibration half of validation, on which the threshold of `unfamiliar`
was not set, worsens each in its frame in many ways, and asks the shipped model. Prints one table in
Markdown; docs/uncertainty.md keeps it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

# The folder is run by path, so the project is not on Python's own.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from face_detection import faceless

from agegender.cli import exit_code
from agegender.config import FRAME_SIZE, SEED
from agegender.dataset.dataset import open_dataset
from agegender.evaluation.corruptions import CORRUPTIONS, Corruption
from agegender.evaluation.evaluated_faces import select_faces
from agegender.evaluation.tables import markdown
from agegender.images import read_image
from agegender.model.preprocessing import InputSpec, prepare
from agegender.prediction.predictor import Prediction, load_predictor
from agegender.prediction.quality import BLURRED, DARK, crop_flags
from agegender.training.runs import find_run

FACES = 250

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]

STRENGTHS = {
    "blur": (1, 2, 4, 8, 14),
    "noise": (40, 80),
    "resolution": (64, 32, 16, 8),
    "dark": (1, 3, 5),
}
"""Of the evaluation's corruptions, from where they hardly matter to where nothing is left."""


def worsen(
    kind: Corruption, strength: float, face: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Apply a corruption with a strength of its own."""
    return kind.apply(face, strength, rng)


def covered(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lay grey over the middle, half of each side."""
    result = face.copy()
    quarter = FRAME_SIZE // 4
    result[quarter:-quarter, quarter:-quarter] = 127
    return result


CHANGES: dict[str, Change] = {
    "none": lambda face, rng: face,
    **{
        f"{kind.title}, {strength} ({kind.unit})": partial(worsen, kind, strength)
        for kind in CORRUPTIONS
        for strength in STRENGTHS.get(kind.name, ())
    },
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
    args = parser.parse_args(argv)
    run = find_run("shipped")
    dataset = open_dataset(args.dataset)
    table = select_faces(dataset, "validation", run=run)
    table = table[table["is_calibration"]]
    table = table.sample(min(FACES, len(table)), random_state=SEED)
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
    print(markdown(pd.DataFrame(rows, columns=columns)))
    return 0


if __name__ == "__main__":
    sys.exit(exit_code(main))
