"""Choosing a run by its id, and saying what its answers are worth."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from agegender.cli import in_help
from agegender.config import default_dataset_dir
from agegender.training.run import Run
from agegender.training.runs import default_run, find_run


def add_run_option(parser: argparse.ArgumentParser) -> None:
    """Add `--run`, which `choose_run` takes."""
    parser.add_argument(
        "--run",
        dest="run_id",
        metavar="RUN",
        help="id of a run (default: your newest finished one that learned from photos, else the "
        "shipped one)",
    )


def choose_run(run_id: str | None) -> Run:
    """Return the run of an id, or the default one.

    Raises:
        AgeGenderError: If there is none.
    """
    return default_run() if run_id is None else find_run(run_id)


DATASET_HELP = (
    "folder of labelled faces (default: the one that your run was trained on if it is there, "
    f"else {in_help(default_dataset_dir())})"
)


def dataset_folder(run: Run, named: Path | None) -> Path:
    """Return the folder of faces for a run: the one named, else its own, else the usual one.

    Args:
        run: The shipped run's own folder was on another computer.
        named: What the user asked for; None to choose, and say what was chosen.
    """
    if named is not None:
        return named
    own = Path(run.config.dataset)
    folder = own if os.path.isdir(own) and not run.is_shipped else default_dataset_dir()
    print(f"note: the faces are those of {folder}", file=sys.stderr)
    return folder


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
