"""`python -m agegender publish`: let the shipped run's test figures travel with it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agegender.evaluation.published import publish
from agegender.training.runs import find_run


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "publish",
        help="let the shipped run's test figures travel with it",
        description="Keep the figures of a report with the shipped run, so that the app can show "
        "them where there are no faces. The report is that of `python generate_results.py --run "
        "shipped --split test`.",
    )
    parser.add_argument("report", type=Path, help="folder of the report")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Publish, and say where the figures are."""
    print(publish(args.report, find_run("shipped")))
    return 0
