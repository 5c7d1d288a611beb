"""`python -m agegender evaluate`: the figures of a run, on the terminal."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from agegender.commands.choice import (
    DATASET_HELP,
    add_run_option,
    choose_run,
    dataset_folder,
    positive,
    tell_worth,
)
from agegender.commands.progress import progress_bar
from agegender.config import SEED
from agegender.dataset.dataset import Dataset, open_dataset
from agegender.evaluation.evaluated_faces import SPLITS, TRAIN_NOTE, count_left_out
from agegender.evaluation.predictions import predict_faces
from agegender.training.run import Run


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure a run on labelled faces",
        description="Measure a run on a split of a dataset and print its figures. While choices "
        "are being made, look at validation: looks at the test split are logged in the run.",
    )
    add_choices(parser, split="validation")
    add_photos_option(parser, "instead of a dataset, whose options do not matter then")
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the figures of a run as tables, or all of them as JSON."""
    if args.photos is not None:
        return _run_on_photos(args)
    chosen, dataset = open_choices(args)
    with progress_bar("predicting") as on_progress:
        predictions = predict_faces(
            chosen, dataset, args.split, limit=args.limit, seed=args.seed, on_progress=on_progress
        )
    # scikit-learn takes a second to import, which `--help` need not wait for.
    from agegender.evaluation.metrics import compute_metrics, training_floors
    from agegender.evaluation.uncertainty import constant_half_width

    metrics = compute_metrics(
        predictions,
        floors=training_floors(dataset),
        constant=constant_half_width(chosen),
        seed=args.seed,
    )
    if args.json:
        print(json.dumps(metrics, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print(_format(metrics))
        left_out = count_left_out(chosen, dataset, args.split, predictions, limit=args.limit)
        for count, reason in (
            (left_out.copies, "they are copies of others"),
            (left_out.seen, "the model was trained on them"),
            (left_out.unreadable, "their pictures could not be read"),
        ):
            if count:
                print(f"{count:,} more faces were left out: {reason}.")
        if predictions["split"].eq("train").any():
            print(TRAIN_NOTE)
    return 0


def add_choices(parser: argparse.ArgumentParser, *, split: str) -> None:
    """Add the options that say what is evaluated; `generate_results.py` has the same.

    Args:
        parser: Where to.
        split: The split by default.
    """
    add_run_option(parser)
    parser.add_argument(
        "--dataset",
        type=Path,
        metavar="FOLDER",
        help=DATASET_HELP,
    )
    parser.add_argument(
        "--split", choices=SPLITS, default=split, help="which faces (default: %(default)s)"
    )
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="at most N faces, drawn by the seed"
    )
    parser.add_argument(
        "--seed", type=_seed, default=SEED, metavar="N", help="random seed (default: %(default)s)"
    )


def add_photos_option(parser: argparse.ArgumentParser, how: str) -> None:
    """Add `--photos`; `generate_results.py` has the same.

    Args:
        parser: Where to.
        how: What the photos are to the dataset, for the help text.
    """
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="FOLDER",
        help="measure whole photos of one person each, with a labels.csv beside them (filename, "
        f"age, gender, and subject if people are on several), {how}",
    )


def open_choices(args: argparse.Namespace) -> tuple[Run, Dataset]:
    """Open what `add_choices` let the user choose, and say what the figures are worth.

    Raises:
        AgeGenderError: If the run or the dataset cannot be used.
    """
    chosen = choose_run(args.run_id)
    tell_worth(chosen)
    folder = dataset_folder(chosen, args.dataset)
    with progress_bar("reading") as on_progress:
        dataset = open_dataset(folder, on_progress=on_progress)
    if dataset.is_demo:
        print(
            "note: these are drawn demo faces; figures on them say nothing about people",
            file=sys.stderr,
        )
    return chosen, dataset


def _run_on_photos(args: argparse.Namespace) -> int:
    """Print the figures of labelled photos, and what went wrong."""
    chosen = choose_run(args.run_id)
    tell_worth(chosen)
    from agegender.evaluation.photos import (
        answer_photos,
        photo_failures,
        photo_group_table,
        photo_metrics,
        photo_table,
    )
    from agegender.evaluation.tables import markdown
    from agegender.prediction.predictor import load_predictor

    with progress_bar("answering") as on_progress:
        photos = answer_photos(load_predictor(chosen), args.photos, on_progress=on_progress)
    metrics = photo_metrics(photos, seed=args.seed)
    if args.json:
        print(json.dumps(metrics, indent=2, allow_nan=False))
        return 0
    print(markdown(photo_table(metrics)))
    if metrics["answered"]:
        print(markdown(photo_group_table(metrics)))
    failures = photo_failures(photos)
    if len(failures):
        print(markdown(failures))
    return 0


def _format(metrics: dict[str, Any]) -> str:
    """Lay the headline and the breakdowns that are asked for most out as tables."""
    from agegender.evaluation.tables import (
        age_breakdown,
        class_table,
        coverage_breakdown,
        gender_breakdown,
        headline_table,
        risk_table,
        titled_markdown,
    )

    tables = [
        ("All faces", headline_table(metrics)),
        ("Age, by age band", age_breakdown(metrics, "band")),
        ("Gender, by true gender", class_table(metrics)),
        ("Gender, by age band", gender_breakdown(metrics, "band")),
        ("Age, by race group", age_breakdown(metrics, "race")),
        ("Gender, by race group", gender_breakdown(metrics, "race")),
        ("Gender, told only when sure", risk_table(metrics)),
    ]
    if metrics["uncertainty"]["intervals"] is not None:
        title = "90% intervals of the age, by decade of the answer"
        tables.append((title, coverage_breakdown(metrics, "predicted_decade")))
    return titled_markdown(tables).rstrip()


def _seed(text: str) -> int:
    """Check a seed; NumPy takes none below zero, pandas none above 32 bits."""
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 0 to {2**32 - 1}")
    return int(text)
