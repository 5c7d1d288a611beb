"""`python -m agegender evaluate`: the figures of a run, on the terminal."""

from __future__ import annotations

import argparse
import json
from typing import Any

from agegender.commands.choice import (
    add_choices,
    add_photos_option,
    choose_run,
    open_choices,
    tell_worth,
)
from agegender.commands.progress import progress_bar
from agegender.evaluation.evaluated_faces import TRAIN_NOTE, count_left_out
from agegender.evaluation.predictions import predict_faces


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
        print(
            f"Run {chosen.id} on {metrics['n']:,} faces of {dataset.folder}, split {args.split}\n"
        )
        print(_format(metrics))
        left_out = count_left_out(chosen, dataset, args.split, predictions, limit=args.limit)
        for count, reason in (
            (left_out.copies, "copies of others"),
            (left_out.seen, "faces that the model was trained on, or copies of such"),
            (left_out.unreadable, "pictures that could not be read"),
        ):
            if count:
                print(f"Left out besides, as {reason}: {count:,}.")
        if predictions["split"].eq("train").any():
            print(TRAIN_NOTE)
    return 0


def _run_on_photos(args: argparse.Namespace) -> int:
    """Print the figures of labelled photos, and what went wrong."""
    chosen = choose_run(args.run_id)
    tell_worth(chosen)
    from agegender.evaluation.photos import (
        GAP_NOTE,
        answer_photos,
        photo_failures,
        photo_gap_table,
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
    gaps = photo_gap_table(metrics)
    if len(gaps):
        print(markdown(gaps))
        print(GAP_NOTE)
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
