"""`python -m agegender predict`: age and gender of every face in any number of photos."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from agegender.commands.answers import add_arguments, open_predictor, report, show, unread_code
from agegender.prediction.photos import predict_photos
from agegender.prediction.sources import iter_pictures
from agegender.prediction.tables import TABLE_SUFFIXES
from agegender.prediction.unfinished import UnfinishedTable, open_unfinished


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "predict",
        help="age and gender of every face in photos, folders and ZIPs",
        description=(
            "Find every face and predict age and gender: one row a face, the largest of a photo "
            "first. A table that was stopped or killed goes on where it was with the same "
            "command. Exit code: 0 when every photo could be read, 1 when some could not (each "
            "is named), 130 when stopped."
        ),
    )
    add_arguments(parser)
    parser.add_argument(
        "--output",
        type=_table_path,
        metavar="FILE",
        help=f"write a table ({', '.join(TABLE_SUFFIXES)}) instead of showing it; "
        "an unfinished one is continued, a finished one replaced",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Predict, one row a face."""
    chosen, predictor = open_predictor(args.run_id, args.paths)
    unread: list[str] = []
    if args.output is None:
        answers = predict_photos(predictor, iter_pictures(args.paths), is_crop=args.crops)
        show(report(answers, unread))
        return unread_code(unread)
    settings = {
        "table": 1,
        "run": chosen.id,
        "model_changed_ns": chosen.changed_ns,
        "crops": args.crops,
        # Photos are told apart by their names, which begin with the paths as they are given.
        "folder": str(Path.cwd()),
        "paths": [str(path) for path in args.paths],
    }
    with open_unfinished(args.output, settings) as table:
        _tell_state(table)
        unread += table.errors
        pictures = iter_pictures(args.paths, skip=table.was_finished)
        answers = predict_photos(predictor, pictures, is_crop=args.crops)
        try:
            for answer in report(answers, unread, finished=table.finished, faceless=table.faceless):
                table.add(answer)
            table.write_table()
        except KeyboardInterrupt:
            print(
                f"what is finished is kept in {table.folder}; the same command goes on",
                file=sys.stderr,
            )
            raise
    print(f"wrote {args.output}", file=sys.stderr)
    return unread_code(unread)


def _tell_state(table: UnfinishedTable) -> None:
    """Say what is left of an earlier call, and again which photos it could not read."""
    if table.finished:
        photos = "1 photo" if table.finished == 1 else f"{table.finished:,} photos"
        print(f"note: going on after {photos}", file=sys.stderr)
    for error in table.errors:
        print(f"unread: {error}", file=sys.stderr)


def _table_path(text: str) -> Path:
    """Check the ending of the output file."""
    path = Path(text)
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise argparse.ArgumentTypeError(f"{text!r} must end in one of {', '.join(TABLE_SUFFIXES)}")
    return path
