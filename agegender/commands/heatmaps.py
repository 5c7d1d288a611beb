"""`python -m agegender heatmaps`: whether a run's heatmaps can be trusted."""

from __future__ import annotations

import argparse
from typing import Any

from agegender.commands.choice import add_choices, open_choices
from agegender.commands.progress import progress_bar


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "heatmaps",
        help="test whether the heatmaps show what the answers rest on",
        description="Test the Grad-CAM maps of both heads on faces of every age band, gender and "
        "race group: deletion and insertion curves against random and centre-only maps, mean maps "
        "by group, and the maps of a destroyed network. 100 faces unless --limit says otherwise, "
        "some 10 minutes. Each face is kept, so that a stopped test goes on where it was; the "
        "report shows a finished one.",
    )
    add_choices(parser, split="test")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the figures of the test."""
    chosen, dataset = open_choices(args)
    # pandas and OpenCV take a second to import, which `--help` need not wait for.
    from agegender.evaluation.heatmap_tables import reading_tables
    from agegender.evaluation.heatmaps import FACES, measure_heatmaps
    from agegender.evaluation.tables import titled_markdown

    with progress_bar("explaining") as on_progress:
        check = measure_heatmaps(
            chosen,
            dataset,
            args.split,
            count=args.limit or FACES,
            seed=args.seed,
            on_progress=on_progress,
        )
    print(titled_markdown(reading_tables(check, seed=args.seed)))
    return 0
