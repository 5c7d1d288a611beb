"""Compare the shipped model with other tools on the same held-out faces.

    python benchmarks/compare.py --dataset UTKFace

Every tool is given each face's chip, decoded, with no face detection, since
the chips are faces already. Where in the chip a peer expects the face is not
known, so each gets the crop that suits it best on validation faces, for age
and for gender each. All figures and intervals are those of `compute_metrics`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

# The folder is run by path, so the project is not on Python's own.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agegender import __version__
from agegender.config import FRAME_SIZE, GENDER_NAMES, workspace_dir
from agegender.dataset.dataset import Dataset, open_dataset
from agegender.errors import AgeGenderError, ModelNotFoundError
from agegender.evaluation.evaluated_faces import select_faces
from agegender.evaluation.metrics import compute_metrics
from agegender.evaluation.predictions import predict_faces
from agegender.images import read_image
from agegender.prediction.predictor import load_predictor
from agegender.storage import write_json, write_text
from agegender.training.runs import shipped_run
from benchmarks.peers import PEERS, Peer, PeerError, ask

CROPS = (1.0, 0.9, 0.8, 0.7, 0.6)
"""Central shares of the chip's side that a peer is tried with."""

SPLIT = "test"
"""Our model has seen the train faces, and each peer's crop is chosen on validation faces."""

VALIDATION_FACES = 600
WARM_UP_FACES = 20
TIMED_FACES = 100
"""Faces that our own model is timed on; a peer is timed on all of them."""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", type=Path, required=True, help="folder with UTKFace's faces")
    parser.add_argument("--limit", type=_positive, help="take this many faces, drawn at random")
    parser.add_argument(
        "--output",
        type=Path,
        default=workspace_dir() / "benchmarks",
        help="where peers.md and peers.json go (default: %(default)s)",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is too few; take at least 1")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Run every tool and write the table; 0, or 1 with one sentence on stderr."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    args = build_parser().parse_args(argv)
    try:
        dataset = open_dataset(args.dataset)
        rows, faces = [], select_faces(dataset, SPLIT, limit=args.limit)
        try:
            row, faces = run_own(dataset, args.limit)
        except ModelNotFoundError as error:
            row = skipped(f"agegender {__version__}", str(error))
        rows.append(row)
        for peer in PEERS:
            print(f"running {peer.name} on {len(faces)} faces", file=sys.stderr)
            try:
                rows.append(run_peer(peer, dataset, faces))
            except PeerError as error:
                rows.append(skipped(peer.name, str(error)))
        table = markdown_table(rows)
        write_text(args.output / "peers.md", table)
        write_json(
            args.output / "peers.json",
            {"split": SPLIT, "split_hash": dataset.split_hash, "tools": rows},
        )
    except AgeGenderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table)
    return 0


def run_own(dataset: Dataset, limit: int | None) -> tuple[dict[str, Any], pd.DataFrame]:
    """Evaluate and time the shipped model.

    Returns:
        Its row, and its predictions: the faces for the others to answer.
    """
    run = shipped_run()
    if run is None:
        raise ModelNotFoundError("no model ships with this version")
    predictions = predict_faces(run, dataset, SPLIT, limit=limit)
    predictor = load_predictor(run)
    milliseconds = []
    for rgb in read_chips(dataset, predictions["file"][: WARM_UP_FACES + TIMED_FACES]):
        started = time.perf_counter()
        predictor.predict([rgb])
        milliseconds.append((time.perf_counter() - started) * 1000)
    note = "whole chip in; was trained on none of these, but for copies of three"
    return measured(f"agegender {__version__}", note, predictions, milliseconds), predictions


def run_peer(peer: Peer, dataset: Dataset, faces: pd.DataFrame) -> dict[str, Any]:
    """Evaluate and time another tool.

    Raises:
        PeerError: If it cannot be installed or run here.
    """
    command = peer.install(peer.folder)

    def answers(table: pd.DataFrame, crop: float) -> pd.DataFrame:
        given = ask(peer, command, read_chips(dataset, table["file"]), crop)
        return with_answers(table, given)

    validation = select_faces(dataset, "validation", limit=VALIDATION_FACES)
    trials = {crop: compute_metrics(answers(validation, crop)) for crop in CROPS}
    age_crop, gender_crop = best_crops(trials)
    predictions = answers(faces, age_crop)
    if gender_crop != age_crop:
        gender_columns = ["gender_pred", "p_female"]
        predictions[gender_columns] = answers(faces, gender_crop)[gender_columns]
    note = f"{describe_crops(age_crop, gender_crop)}; {peer.note}"
    row = measured(peer.name, note, predictions, predictions["ms"].tolist())
    row["validation"] = {
        f"{crop:g}": {
            "age_mae": figures["age"]["mae"],
            "gender_accuracy": figures["gender"]["accuracy"],
        }
        for crop, figures in trials.items()
    }
    return row


def read_chips(dataset: Dataset, files: pd.Series[str]) -> Iterator[NDArray[np.uint8]]:
    """Read faces one by one as RGB, uint8, shape (FRAME_SIZE, FRAME_SIZE, 3)."""
    for file in files:
        rgb = read_image(dataset.path(file))
        if rgb.shape[:2] != (FRAME_SIZE, FRAME_SIZE):
            rgb = cv2.resize(rgb, (FRAME_SIZE, FRAME_SIZE), interpolation=cv2.INTER_AREA)
        yield rgb


def with_answers(faces: pd.DataFrame, answers: list[dict[str, Any]]) -> pd.DataFrame:
    """Lay a peer's answers beside the labels, as a table of predictions."""
    given = pd.DataFrame(answers, index=faces.index)
    return faces[["file", "age", "gender", "race"]].assign(
        age_pred=given["age"],
        p_female=given["p_female"],
        gender_pred=given["gender"].map(GENDER_NAMES.index),
        ms=given["ms"],
    )


def best_crops(trials: dict[float, dict[str, Any]]) -> tuple[float, float]:
    """Choose the crop with the lowest age error and that with the most genders right."""
    return (
        min(trials, key=lambda crop: trials[crop]["age"]["mae"]),
        max(trials, key=lambda crop: trials[crop]["gender"]["accuracy"]),
    )


def describe_crops(age_crop: float, gender_crop: float) -> str:
    """Say what a peer was shown."""
    if age_crop == gender_crop:
        return f"box: {_crop_name(age_crop)}"
    return f"box: {_crop_name(age_crop)} for age, {_crop_name(gender_crop)} for gender"


def _crop_name(crop: float) -> str:
    return "whole chip" if crop == 1 else f"central {crop:.0%}"


def measured(
    name: str, note: str, predictions: pd.DataFrame, milliseconds: list[float]
) -> dict[str, Any]:
    """Make the row of a tool that ran; the first faces do not count as warm."""
    warm = milliseconds[WARM_UP_FACES:] or milliseconds
    return {
        "tool": name,
        "note": note,
        "ms_per_face": round(float(np.median(warm)), 1),
        "metrics": compute_metrics(predictions),
    }


def skipped(name: str, reason: str) -> dict[str, Any]:
    """Make the row of a tool that could not run."""
    return {"tool": name, "note": f"not run: {reason}", "ms_per_face": None, "metrics": None}


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """Lay the rows out as a Markdown table; brackets hold 95 % intervals."""
    header = (
        "tool",
        "age MAE, years",
        "gender accuracy",
        "gender, 18+",
        "MAE 0-12",
        "MAE 51+",
        "ms a face",
        "n",
        "note",
    )
    lines = [header, ("---", *["---:"] * 7, "---"), *(_cells(row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    metrics = row["metrics"]
    note = row["note"].replace("|", "/")
    if metrics is None:
        return (row["tool"], *["-"] * 7, note)
    age, gender = metrics["age"], metrics["gender"]
    return (
        row["tool"],
        _years(age["mae"], age["mae_ci95"]),
        _share(gender["accuracy"], gender["accuracy_ci95"]),
        _share(gender["adult_accuracy"], gender["adult_accuracy_ci95"]),
        *(_years(age["by_range"][name]["mae"]) for name in ("0-12", "51+")),
        f"{row['ms_per_face']:.0f}",
        f"{metrics['n']:,}",
        note,
    )


def _years(value: float | None, ends: list[float] | None = None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" + (f" [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else "")


def _share(value: float | None, ends: list[float] | None) -> str:
    if value is None or ends is None:
        return "-"
    return f"{value:.1%} [{ends[0]:.1%}, {ends[1]:.1%}]"


if __name__ == "__main__":
    sys.exit(main())
