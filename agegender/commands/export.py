"""`python -m agegender export`: a run's model as one Keras file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from agegender.commands.choice import add_run_option, choose_run
from agegender.prediction.export import export_model


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "export",
        help="a trained model as one Keras file",
        description=(
            "Write one .keras file that takes RGB 0..255 and answers with age and gender, "
            "averaged over the face and its mirror image. It needs nothing but Keras."
        ),
    )
    parser.add_argument("output", type=_keras_path, metavar="FILE", help="a .keras file to write")
    add_run_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export a model and say what it takes."""
    chosen = choose_run(args.run_id)
    export_model(chosen, args.output)
    spec = chosen.weights().spec
    print(
        f"{args.output} takes RGB 0..255 of {spec.size} x {spec.size} pixels: "
        f"the central {spec.crop:.0%} of a face in UTKFace's frame"
    )
    return 0


def _keras_path(text: str) -> Path:
    """Check the ending of the output file."""
    path = Path(text)
    if path.suffix != ".keras":
        raise argparse.ArgumentTypeError(f"{text!r} must end in .keras")
    return path
