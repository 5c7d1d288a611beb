"""`python -m agegender architecture`: print the layers and their parameters."""

from __future__ import annotations

import argparse
from typing import Any

from agegender.config import IMAGE_SIZE
from agegender.model.architecture import architecture_table, build_model
from agegender.model.preprocessing import InputSpec


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "architecture",
        help="print the network's layers and parameters",
        description="Print the network's layers, their output shapes and parameter counts.",
    )
    parser.add_argument(
        "--size", type=int, default=IMAGE_SIZE, help="side of the input in pixels (%(default)s)"
    )
    parser.set_defaults(run=run, parser=parser)


def run(args: argparse.Namespace) -> int:
    """Print the table as Markdown."""
    try:
        spec = InputSpec(args.size)
    except ValueError as error:
        args.parser.error(str(error))
    rows = architecture_table(build_model(spec.size))
    frozen = rows[0].parameters
    total = sum(row.parameters for row in rows)
    print("| Layer | Output shape | Parameters |")
    print("|---|---|---:|")
    for row in rows:
        shape = "(" + ", ".join(map(str, row.output_shape)) + ("," * (len(row.output_shape) == 1))
        print(f"| {row.layer} | {shape}) | {row.parameters:,} |")
    print(f"| **Total** | | **{total:,}** |")
    print(f"| of these trainable | | {total - frozen:,} |")
    return 0
