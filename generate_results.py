"""Measure a run and write the report: figures, tables and one HTML page.

python generate_results.py                             the newest run on its test faces
python generate_results.py --dataset FOLDER --split all  any folder of labelled faces
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from agegender.cli import exit_code
from agegender.commands.choice import add_choices, add_photos_option, open_choices
from agegender.commands.progress import progress_bar


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of this script."""
    parser = argparse.ArgumentParser(
        prog="python generate_results.py",
        description="Measure a run and write metrics.json, tables (CSV, Markdown), figures (PNG, "
        "SVG) and one self-contained HTML report.",
    )
    add_choices(parser, split="test")
    add_photos_option(parser, "besides the dataset")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("results"),
        metavar="FOLDER",
        help="where to; an earlier report there is replaced (default: %(default)s)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report and say where it is.

    Args:
        argv: Arguments without the program's name; those of the process by default.

    Returns:
        The exit code: 0 done, 1 failed with one sentence on stderr, 130
        stopped with Ctrl-C. Misuse exits with 2.
    """
    args = build_parser().parse_args(argv)
    return exit_code(lambda: run(args), stopped="stopped; an earlier report is as it was")


def run(args: argparse.Namespace) -> int:
    """Write the report; see `main`."""
    chosen, dataset = open_choices(args)
    # Drawing and scikit-learn take seconds to import, which `--help` need not wait for.
    from agegender.evaluation.report import check_output, write_report

    check_output(args.output)
    with progress_bar("measuring") as on_progress:
        page = write_report(
            chosen,
            dataset,
            args.split,
            args.output,
            limit=args.limit,
            seed=args.seed,
            photos=args.photos,
            on_progress=on_progress,
        )
    written = page.parent
    print(f"report   {page}")
    print(f"figures  {written / 'figures'}")
    print(f"tables   {written / 'tables'}")
    print(f"metrics  {written / 'metrics.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
