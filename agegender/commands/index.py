"""`python -m agegender index`: list a dataset folder and say what is in it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agegender.commands.progress import progress_bar
from agegender.config import default_dataset_dir
from agegender.dataset.dataset import DatasetSummary, open_dataset, summary


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "index",
        help="list a dataset folder: labels, damaged files, duplicates, split",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--dataset", type=Path, default=default_dataset_dir(), help="folder of the faces"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Index the folder and print the summary."""
    with progress_bar("reading") as on_progress:
        dataset = open_dataset(args.dataset, on_progress=on_progress)
    found = summary(dataset)
    print(_format(found))
    others = dataset.unused[~dataset.unused["file"].isin(found.malformed)]
    for file, reason in zip(others["file"], others["reason"], strict=True):
        print(f"unused              {file}: {reason}")
    return 0


def _format(found: DatasetSummary) -> str:
    """Lay the summary out, a line a fact."""
    lines = [
        f"files               {found.files:,}",
        f"labelled            {found.labelled:,}",
        f"malformed names     {len(found.malformed):,}",
        *(f"                    {file}: {reason}" for file, reason in found.malformed.items()),
        f"exact duplicates    {found.exact_duplicates:,}",
        f"near groups         {found.near_groups:,} (largest group {found.largest_group:,} faces)",
        f"label conflicts     {found.label_conflicts:,} groups",
        *(f"{name:<20}{count:,}" for name, count in found.splits.items()),
    ]
    return "\n".join(lines)
