"""Look for held-out faces among the extra faces of a pretraining, by a face embedding.

    python benchmarks/held_out_overlap.py --dataset UTKFace --extra FOLDER --output FOLDER

The pretraining leaves out extra faces by their perceptual hash. Here every validation
and test face is compared with the extra faces that are left and that the backbone finds
most alike, whichever way they are turned, and each such pair by the pixels' detail.
Writes `pairs.csv`, the most alike first, and `pairs.png` to look at them: other photos
of the same person are no duplicates, so an eye decides.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

# The folder is run by path, so the project is not on Python's own.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agegender.dataset.dataset import open_dataset
from agegender.dataset.duplicates import detail_correlation
from agegender.errors import AgeGenderError
from agegender.images import read_image
from agegender.model.weights import default_weights, find_weights
from agegender.pretraining.samples import UTKFACE, collect_samples
from agegender.training.features import load_features

NEIGHBOURS = 5
SHOWN = 60
TILE = 128


def main(argv: Sequence[str] | None = None) -> int:
    """Compare, write the pairs, and print how many are alike at each limit."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", type=Path, required=True, help="folder with UTKFace's faces")
    parser.add_argument("--extra", type=Path, required=True, help="folder of extra faces")
    parser.add_argument("--output", type=Path, required=True, help="where to write")
    args = parser.parse_args(argv)
    try:
        pairs = find_pairs(args.dataset, args.extra)
    except AgeGenderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    args.output.mkdir(parents=True, exist_ok=True)
    pairs.to_csv(args.output / "pairs.csv", index=False)
    cv2.imwrite(str(args.output / "pairs.png"), _contact_sheet(pairs.head(SHOWN)))
    for limit in (0.95, 0.9, 0.8, 0.7):
        print(f"detail correlates to {limit} or more: {(pairs['detail'] >= limit).sum()} pairs")
    return 0


def find_pairs(dataset_folder: Path, extra: Path) -> pd.DataFrame:
    """Return the extra faces most alike each held-out face.

    Returns:
        `held_out`, `extra` (files), `cosine` of the standardised features and
        `detail` (the better correlation of both ways round), the largest first.
    """
    dataset = open_dataset(dataset_folder)
    samples = collect_samples(dataset, extra).table
    extras = samples[samples["source"] != UTKFACE].reset_index(drop=True)
    faces = dataset.faces
    held_out = faces[faces["split"].isin(["validation", "test"])].reset_index(drop=True)
    held_out["file"] = [str(dataset.path(file)) for file in held_out["file"]]
    embeddings = [_embed(rows) for rows in (held_out, extras)]
    mean, spread = embeddings[1].mean(axis=(0, 1)), embeddings[1].std(axis=(0, 1)) + 1e-6
    a, b = (_normalized((values - mean) / spread) for values in embeddings)
    # The mirrored picture is the other view: compare one view of a with both of b.
    cosine = np.maximum(a[:, 0] @ b[:, 0].T, a[:, 0] @ b[:, 1].T)
    rows = []
    for row, similar in enumerate(tqdm(cosine, unit="face", disable=None)):
        picture = read_image(Path(held_out["file"][row]))
        for other in np.argsort(-similar)[:NEIGHBOURS]:
            candidate = read_image(Path(extras["file"][other]))
            detail = max(
                detail_correlation(picture, candidate, mirror=mirror) for mirror in (False, True)
            )
            files = held_out["file"][row], extras["file"][other]
            rows.append((*files, float(similar[other]), detail))
    pairs = pd.DataFrame(rows, columns=["held_out", "extra", "cosine", "detail"])
    return pairs.sort_values("detail", ascending=False, ignore_index=True)


def _embed(faces: pd.DataFrame) -> np.ndarray:
    """Return the features of faces, float32, shape (n, 2 views, 2048)."""
    with tqdm(unit="face", disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        features = load_features(Path(), faces, find_weights(default_weights()), on_progress=show)
    return np.nan_to_num(np.asarray(features.values))


def _normalized(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def _contact_sheet(pairs: pd.DataFrame) -> np.ndarray:
    """Put the two pictures of each pair over each other, ten pairs a row, BGR."""
    columns = [
        np.vstack(
            [cv2.resize(read_image(Path(file)), (TILE, TILE)) for file in (row.held_out, row.extra)]
        )
        for row in pairs.itertuples()
    ]
    blank = np.zeros_like(columns[0])
    columns += [blank] * (-len(columns) % 10)
    rows = [np.hstack(columns[start : start + 10]) for start in range(0, len(columns), 10)]
    return np.vstack(rows)[..., ::-1]


if __name__ == "__main__":
    sys.exit(main())
