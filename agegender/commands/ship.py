"""`python -m agegender ship`: install a pretraining as the shipped weights."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agegender.commands.progress import progress_bar
from agegender.config import default_dataset_dir
from agegender.errors import RunError
from agegender.pretraining.pretrain import find_pretraining
from agegender.pretraining.ship import ship


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "ship",
        help="install a pretraining as the shipped weights",
        description=(
            "Write a pretraining's backbone in float16, train the default heads on it and put "
            "both in place of the weights that travel with the package."
        ),
    )
    parser.add_argument("name", help="name of the pretraining")
    parser.add_argument("--dataset", type=Path, default=default_dataset_dir(), help="%(default)s")
    parser.add_argument(
        "--start-share",
        type=_share,
        default=0.0,
        help="weight of the starting weights in the average that is shipped, "
        "0 to below 1 (default: %(default)g)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ship, and say where the files are and how large."""
    pretraining = find_pretraining(args.name)
    if not pretraining.folder.is_dir():
        raise RunError(
            f"There is no pretraining {args.name!r} in {pretraining.folder.parent}; "
            "`python -m agegender pretrain` makes one."
        )
    with progress_bar("training the heads") as on_progress:
        folder = ship(
            pretraining,
            args.dataset,
            start_share=args.start_share,
            on_state=lambda state: on_progress(state.done, state.total),
        )
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        print(f"{file.stat().st_size:>12,} bytes  {file.relative_to(folder)}")
    return 0


def _share(text: str) -> float:
    """Read a share.

    Raises:
        argparse.ArgumentTypeError: If it is not a number from 0 to below 1.
    """
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number from 0 to below 1")
    return share
