"""`python -m agegender predict`: age and gender of any number of pictures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from agegender.commands.choice import add_run_option, choose_run, tell_worth
from agegender.prediction.predictor import Predictor, load_predictor
from agegender.prediction.sources import iter_pictures
from agegender.prediction.tables import (
    TABLE_SUFFIXES,
    PredictionRow,
    predict_pictures,
    write_table,
)

NOTE = (
    "note: every picture is taken as the crop of one face, as in UTKFace; "
    "faces in whole photos are not looked for"
)


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "predict",
        help="age and gender of pictures, folders and ZIPs",
        description=(
            "Predict age and gender for face crops. Exit code: 0 when every picture could be "
            "read, 1 when some could not (each is named)."
        ),
    )
    add_arguments(parser)
    parser.add_argument(
        "--output",
        type=_table_path,
        metavar="FILE",
        help=f"write a table ({', '.join(TABLE_SUFFIXES)}) instead of showing it",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Predict, one row a picture."""
    predictor = open_predictor(args.run_id)
    unread: list[str] = []
    rows = report(predict_pictures(predictor, iter_pictures(args.paths)), unread)
    if args.output is not None:
        write_table(rows, args.output)
        print(f"wrote {args.output}", file=sys.stderr)
    else:
        # Numbers come first: they stay in line below names of any length.
        print(f"{'age':>5}  {'gender':<6}  {'confidence':>10}  file")
        for row in rows:
            answer = row.prediction
            numbers = (
                f"{answer.age:5.1f}  {answer.gender:<6}  {answer.confidence:>10.1%}"
                if answer
                else f"{'-':>5}  {'-':<6}  {'-':>10}"
            )
            print(f"{numbers}  {row.file}")
    return exit_code(unread)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `predict` and `explain` have in common: which pictures, which model."""
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="a picture, a folder or a ZIP"
    )
    add_run_option(parser)


def open_predictor(run_id: str | None) -> Predictor:
    """Load a run's model and say what its answers are worth."""
    chosen = choose_run(run_id)
    predictor = load_predictor(chosen)
    print(NOTE, file=sys.stderr)
    tell_worth(chosen)
    return predictor


def report(rows: Iterable[PredictionRow], unread: list[str]) -> Iterator[PredictionRow]:
    """Pass rows on, count them in a bar and name the pictures that could not be read."""
    with tqdm(unit="picture", disable=None, file=sys.stderr) as bar:
        for row in rows:
            if row.error is not None:
                unread.append(row.file)
                bar.write(f"unread: {row.error}", file=sys.stderr)
            bar.update()
            yield row


def exit_code(unread: list[str]) -> int:
    """Return 1 if a picture could not be read, with a last line that counts them."""
    if unread:
        count = "1 picture" if len(unread) == 1 else f"{len(unread)} pictures"
        print(f"{count} could not be read; the reasons are above", file=sys.stderr)
    return 1 if unread else 0


def _table_path(text: str) -> Path:
    """Check the ending of the output file."""
    path = Path(text)
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise argparse.ArgumentTypeError(f"{text!r} must end in one of {', '.join(TABLE_SUFFIXES)}")
    return path
