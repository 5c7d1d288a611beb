"""`python -m agegender explain`: heatmaps of both heads, as pictures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agegender.commands.answers import add_arguments, open_predictor, report, show, unread_code
from agegender.prediction.explained import explain_photos, write_folder
from agegender.prediction.sources import iter_pictures


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "explain",
        help="heatmaps of what each answer rests on (Grad-CAM)",
        description=(
            "Find every face and write a folder of pictures per photo: the photo with boxes, and "
            "for each face what raises and lowers the predicted age, what speaks for male and "
            "for female, and one figure; and predictions.csv. "
            "Exit code: 0 when every photo could be read, 1 when some could not."
        ),
    )
    add_arguments(parser)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FOLDER", help="where to write them"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Explain the answers for every face."""
    _, predictor = open_predictor(args.run_id, args.paths)
    unread: list[str] = []
    explained = explain_photos(predictor, iter_pictures(args.paths), is_crop=args.crops)
    faces = show(report(write_folder(explained, args.output), unread))
    print(f"{'1 face' if faces == 1 else f'{faces} faces'} explained in {args.output}")
    return unread_code(unread)
