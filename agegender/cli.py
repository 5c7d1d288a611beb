"""The command line: `python -m agegender COMMAND`."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence

from agegender import __version__
from agegender.errors import AgeGenderError

COMMANDS = (
    "index",
    "labels",
    "train",
    "runs",
    "evaluate",
    "robustness",
    "heatmaps",
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
    args = build_parser().parse_args(argv)
    return exit_code(lambda: int(args.run(args)))


def exit_code(work: Callable[[], int], *, stopped: str = "stopped") -> int:
    """Do a command's work and turn whatever ends it early into a sentence and a code.

    Args:
        work: Returns the exit code when all goes well.
        stopped: What to say after Ctrl-C.

    Returns:
        What `work` returned; 1 with one sentence on stderr when it failed, 130
        after Ctrl-C, 141 when nobody reads the output any more (`| head`).
    """
    # TensorFlow's C++ start-up messages say nothing that a user can act on.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for stream in (sys.stdout, sys.stderr):
        # A file name that the terminal cannot show must not end the command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = work()
        sys.stdout.flush()
    except AgeGenderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(stopped, file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Python would complain once more when it closes the output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code
