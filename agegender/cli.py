"""The command line: `python -m agegender COMMAND`."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from agegender import __version__
from agegender.errors import AgeGenderError

COMMANDS = (
    "index",
    "train",
    "runs",
    "evaluate",
    "explain",
    "predict",
    "export",
    "architecture",
    "pretrain",
    "ship",
)
"""Modules of `agegender.commands`, in the order of the help text."""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of every command."""
    parser = argparse.ArgumentParser(
        prog="python -m agegender",
        description="Estimate age and gender from faces, show why, and say how sure.",
    )
    parser.add_argument("--version", action="version", version=f"agegender {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(f"agegender.commands.{name}").add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: Arguments without the program's name; those of the process by default.

    Returns:
        The exit code: 0 done, 1 failed with one sentence on stderr, 130
        stopped with Ctrl-C. Misuse exits with 2.
    """
    # TensorFlow's C++ start-up messages say nothing that a user can act on.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    args = build_parser().parse_args(argv)
    try:
        return int(args.run(args))
    except AgeGenderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
