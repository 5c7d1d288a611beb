"""`python -m agegender explain`: heatmaps of both heads, as pictures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agegender.commands.predict import add_arguments, exit_code, open_predictor, report
from agegender.prediction.export import explain_pictures, write_folder
from agegender.prediction.sources import iter_pictures


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "explain",
        help="heatmaps of what each answer rests on (Grad-CAM)",
        description=(
            "Write a folder of PNG files per picture: what raises and lowers the predicted age, "
            "what speaks for male and for female, and one figure; and predictions.csv. "
            "Exit code: 0 when every picture could be read, 1 when some could not."
        ),
    )
    add_arguments(parser)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="where to write them"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Explain the answers for pictures."""
    predictor = open_predictor(args.run_id)
    unread: list[str] = []
    explained = explain_pictures(predictor, iter_pictures(args.paths))
    count = sum(1 for _ in report(write_folder(explained, args.output), unread))
    print(f"{count - len(unread)} explained in {args.output}")
    return exit_code(unread)
