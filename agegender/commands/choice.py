"""Choosing a run by its id, and saying what its answers are worth."""

from __future__ import annotations

import argparse
import sys

from agegender.training.run import Run
from agegender.training.runs import default_run, find_run


def add_run_option(parser: argparse.ArgumentParser) -> None:
    """Add `--run`, which `choose_run` takes."""
    parser.add_argument(
        "--run",
        dest="run_id",
        metavar="RUN",
        help="id of a run (default: your newest finished one, else the shipped one)",
    )


def choose_run(run_id: str | None) -> Run:
    """Return the run of an id, or the default one.

    Raises:
        AgeGenderError: If there is none.
    """
    return default_run() if run_id is None else find_run(run_id)


def positive(text: str) -> int:
    """Read a number of faces.

    Raises:
        argparse.ArgumentTypeError: If it is not a whole number of at least 1.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of at least 1")
    return int(text)


def tell_worth(run: Run) -> None:
    """Say on stderr what keeps a run's answers and figures from meaning what they seem to."""
    if not run.weights().has_skill:
        print(
            f"note: run {run.id} has a random backbone; what it says shows that everything works, "
            "not what the method can do",
            file=sys.stderr,
        )
    if run.knows_only_drawings:
        print(
            f"note: run {run.id} was trained on drawn demo faces; what it says about people "
            "means nothing",
            file=sys.stderr,
        )
