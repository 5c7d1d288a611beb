"""Get the faces: UTKFace from the network or from a file, or drawn demo faces.

python download_dataset.py                          from the network
python download_dataset.py --archive UTKFace.tar.gz from a file that is there already
python download_dataset.py --demo                   drawn faces, nothing downloaded
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from agegender.cli import exit_code, in_help
from agegender.commands import index
from agegender.commands.progress import progress_bar, tell
from agegender.config import default_dataset_dir, demo_dataset_dir
from agegender.dataset.download import ARCHIVE_SIZE, fetch_dataset, has_faces
from agegender.dataset.synthetic import DEMO_FACES, draw_demo_faces, has_demo_faces


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of this script."""
    parser = argparse.ArgumentParser(
        prog="python download_dataset.py",
        description=f"Get UTKFace's aligned and cropped faces ({ARCHIVE_SIZE}; non-commercial "
        "research only), or draw demo faces in the same layout.",
    )
    parser.add_argument(
        "--dest",
        type=Path,
        help=f"folder to make (default: {in_help(default_dataset_dir())}, or with --demo "
        f"{in_help(demo_dataset_dir())})",
    )
    origin = parser.add_mutually_exclusive_group()
    origin.add_argument(
        "--archive", type=Path, metavar="FILE", help="use this .tar.gz or .zip file: no download"
    )
    origin.add_argument(
        "--demo", action="store_true", help=f"draw {DEMO_FACES} faces that show nobody: no download"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Make the dataset folder and say what is in it.

    Args:
        argv: Arguments without the program's name; those of the process by default.

    Returns:
        The exit code: 0 done or there already, 1 failed with one sentence on
        stderr, 130 stopped with Ctrl-C. Misuse exits with 2.
    """
    args = build_parser().parse_args(argv)
    return exit_code(
        lambda: run(args),
        stopped="stopped; nothing is half done, and a download goes on from there",
    )


def run(args: argparse.Namespace) -> int:
    """Make the folder and print the summary; see `main`."""
    dest = args.dest or (demo_dataset_dir() if args.demo else default_dataset_dir())
    what = "drawing" if args.demo else "fetching"
    with progress_bar(what, with_prefixes=True) as on_progress:
        if has_demo_faces(dest) if args.demo else has_faces(dest):
            done = "The dataset is there already"
        elif args.demo:
            draw_demo_faces(dest, on_progress=on_progress)
            done = "The demo faces are drawn"
        else:
            fetch_dataset(dest, archive=args.archive, on_progress=on_progress, on_message=tell)
            done = "The dataset is ready"
    print(f"{done}: {dest}")
    return index.run(argparse.Namespace(dataset=dest))


if __name__ == "__main__":
    sys.exit(main())
