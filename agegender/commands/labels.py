"""`python -m agegender labels`: list the labels that are most likely wrong."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agegender.commands.choice import (
    DATASET_HELP,
    add_run_option,
    choose_run,
    dataset_folder,
    positive,
)
from agegender.commands.progress import progress_bar
from agegender.dataset.dataset import open_dataset
from agegender.dataset.exclusion import write_exclusions
from agegender.label_quality.out_of_fold import predict_out_of_fold
from agegender.label_quality.suspicion import exclusions, rank_labels


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "labels",
        help="list the train labels that are most likely wrong",
        description=(
            "Rank the train labels by how far they are from what heads say that have not seen "
            "them, trained on the features of a run's backbone, and list the most suspicious. "
            "The list is a proposal: look at the faces before leaving them out."
        ),
    )
    parser.add_argument("--dataset", type=Path, metavar="FOLDER", help=DATASET_HELP)
    add_run_option(parser)
    parser.add_argument(
        "--top", type=positive, default=100, metavar="N", help="list so many (%(default)s)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write them as a list for `train --exclude`"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List the most suspicious labels, and write them as an exclusion list if asked to."""
    chosen = choose_run(args.run_id)
    weights = chosen.chosen_weights()
    with progress_bar("reading") as on_progress:
        dataset = open_dataset(dataset_folder(chosen, args.dataset), on_progress=on_progress)
    with progress_bar("features") as on_faces, progress_bar("heads") as on_epochs:
        answers = predict_out_of_fold(dataset, weights, on_faces=on_faces, on_epochs=on_epochs)
    suspects = exclusions(rank_labels(answers).head(args.top))
    for suspect in suspects.itertuples():
        print(f"{suspect.file}  {suspect.reason}")
    if args.output is not None:
        write_exclusions(suspects, args.output)
        print(f"leave them out with: python -m agegender train --exclude {args.output}")
    return 0
