"""Choosing a run and the faces to measure it on, and saying what its answers are worth."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agegender.cli import in_help
from agegender.commands.progress import progress_bar
from agegender.config import SEED, default_dataset_dir
from agegender.evaluation.evaluated_faces import SPLITS
from agegender.training.run import Run
from agegender.training.runs import default_run, find_run, shipped_run

if TYPE_CHECKING:
    from agegender.dataset.dataset import Dataset


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
    """Return the run of an id, or the default one; say so if that is the user's own.

    Raises:
        AgeGenderError: If there is none.
    """
    if run_id is not None:
        return find_run(run_id)
    run = default_run()
    if not run.is_shipped:
        other = "" if shipped_run() is None else ", --run shipped the one of the project"
        print(
            f"note: this is your run {run.id}, trained on {Path(run.config.dataset).name}; "
            f"--run names another{other}",
            file=sys.stderr,
        )
    return run


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
    elif run.is_hardly_measured:
        print(
            f"note: run {run.id} was chosen on {run.selection_faces} validation faces, too few to "
            "tell how good it is",
            file=sys.stderr,
        )


def add_choices(parser: argparse.ArgumentParser, *, split: str) -> None:
    """Add the options that say what is evaluated; `generate_results.py` has the same.

    Args:
        parser: Where to.
        split: The split by default.
    """
    add_run_option(parser)
    parser.add_argument("--dataset", type=Path, metavar="FOLDER", help=DATASET_HELP)
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
        f"age, gender; subject if people are on several, race where it is known), {how}",
    )


def open_choices(args: argparse.Namespace) -> tuple[Run, Dataset]:
    """Open what `add_choices` let the user choose, and say what the figures are worth.

    Raises:
        AgeGenderError: If the run or the dataset cannot be used.
    """
    # SciPy takes a moment to import, which `--help` need not wait for.
    from agegender.dataset.dataset import open_dataset

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


def _seed(text: str) -> int:
    """Check a seed; NumPy takes none below zero, pandas none above 32 bits."""
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 0 to {2**32 - 1}")
    return int(text)
