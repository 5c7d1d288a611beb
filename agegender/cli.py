"""The command line: `python -m agegender COMMAND`."""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from agegender import __version__
from agegender.errors import AgeGenderError
from agegender.quiet import quiet_tensorflow

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
    "publish",
)
"""Modules of `agegender.commands`, in the order of the help text."""


def build_parser(commands: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """Build the parser of some commands.

    Args:
        commands: Some of `COMMANDS`.
    """
    parser = argparse.ArgumentParser(
        prog="python -m agegender",
        description="Estimate age and gender from faces, show why, and say how sure.",
    )
    parser.add_argument("--version", action="version", version=f"agegender {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in commands:
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

    def parse_and_run() -> int:
        given = [_as_path(text) for text in (sys.argv[1:] if argv is None else argv)]
        # Only that: what the others import takes longer than many a command. Anything else
        # gets the whole parser, for its help and its errors.
        called = [name for name in given[:1] if name in COMMANDS]
        args = build_parser(called or COMMANDS).parse_args(given)
        return int(args.run(args))

    return exit_code(parse_and_run)


def _as_path(text: str) -> str:
    """Tell a file whose name begins with a dash, as a shell's `*` may give it, from an option."""
    is_file = text.startswith("-") and "." in text and os.path.isfile(text)
    return os.path.join(os.curdir, text) if is_file else text


@contextmanager
def _open_streams() -> Iterator[None]:
    """Give the streams that a service has closed a place to write to.

    Their numbers, too: what TensorFlow writes by number would go into whatever file is
    opened next.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    with open(os.devnull, "w", encoding="utf-8") as nowhere, ExitStack() as opened:
        if sys.stdout is None:
            opened.enter_context(redirect_stdout(nowhere))
        if sys.stderr is None:
            opened.enter_context(redirect_stderr(nowhere))
        yield


@_open_streams()
def exit_code(work: Callable[[], int], *, stopped: str = "stopped") -> int:
    """Do a command's work and turn whatever ends it early into a sentence and a code.

    Args:
        work: Returns the exit code when all goes well.
        stopped: What to say after Ctrl-C.

    Returns:
        What `work` returned; 1 with one sentence on stderr when it failed, 130
        after Ctrl-C, 141 when nobody reads the output any more (`| head`).
    """
    # TensorFlow's C++ messages say nothing that a user can act on.
    if "TF_CPP_MIN_LOG_LEVEL" not in os.environ:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        quiet_tensorflow()
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
        _drop_output()
        return 141
    except OSError as error:
        # Of files that the library writes, `storage_errors` has said it already.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO) or error.filename:
            raise
        _drop_output()
        print(f"error: the output could not be written ({error.strerror}).", file=sys.stderr)
        return 1
    return code


def in_help(path: Path) -> str:
    """Return a path for a help text, where argparse takes % for a sign of its own.

    Args:
        path: To be shown.
    """
    return str(path).replace("%", "%%")


def _drop_output() -> None:
    """Give up what could not be written: Python would complain once more when it closes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
