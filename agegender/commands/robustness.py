"""`python -m agegender robustness`: the figures of a run on worse pictures."""

from __future__ import annotations

import argparse
from typing import Any

from agegender.commands.choice import add_choices, open_choices
from agegender.commands.progress import progress_bar


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "robustness",
        help="measure a run on blurred, noisy, dark, covered … faces",
        description="Measure a run on stratified faces of a split under ten corruptions (blur, "
        "noise, JPEG, darkness, grey, occlusion, grey surroundings, rotation, low resolution, crop "
        "jitter) at five strengths each: 500 faces unless --limit says otherwise, some 20 minutes. "
        "Each strength is kept, so that a stopped measurement goes on where it was; the report "
        "shows a finished one.",
    )
    add_choices(parser, split="test")
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the figures of every corruption at every strength."""
    chosen, dataset = open_choices(args)
    # pandas and OpenCV take a second to import, which `--help` need not wait for.
    from agegender.evaluation.robustness import (
        FACES,
        measure_robustness,
        reading_tables,
        robustness_table,
    )
    from agegender.evaluation.tables import titled_markdown

    with progress_bar("answering") as on_progress:
        answers = measure_robustness(
            chosen,
            dataset,
            args.split,
            count=args.limit or FACES,
            seed=args.seed,
            on_progress=on_progress,
        )
    table = robustness_table(answers, seed=args.seed)
    if args.json:
        print(table.to_json(orient="records", indent=2))
    else:
        print(titled_markdown(reading_tables(table)))
    return 0
