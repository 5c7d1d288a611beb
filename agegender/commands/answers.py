"""Answering photos, and showing the answers: what `predict` and `explain` share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tqdm import tqdm

from agegender.commands.choice import add_run_option, choose_run, tell_worth
from agegender.errors import InvalidImageError
from agegender.prediction.photos import PhotoAnswer
from agegender.prediction.predictor import Predictor, load_predictor
from agegender.prediction.tables import table_rows
from agegender.prediction.words import confidence_words

if TYPE_CHECKING:
    from agegender.training.run import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `predict` and `explain` have in common: which photos, which model."""
    parser.add_argument(
        "paths", nargs="+", type=_named_path, metavar="PATH", help="a photo, a folder or a ZIP"
    )
    parser.add_argument(
        "--crops",
        action="store_true",
        help="take each picture as the crop of one face, as in UTKFace, and look for none",
    )
    add_run_option(parser)


def _named_path(text: str) -> Path:
    """Read a path; an empty one, as of an unset variable, would be the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("a path is empty; name a photo, a folder or a ZIP")
    return Path(text)


def open_predictor(run_id: str | None, paths: Sequence[Path]) -> tuple[Run, Predictor]:
    """Load a run's model and say what its answers are worth.

    Args:
        run_id: None for the default run.
        paths: Where the pictures are.

    Returns:
        The run and its model.

    Raises:
        InvalidImageError: If nothing is there to answer. Loading takes seconds, which
            nobody need wait to be told of a mistyped path.
        AgeGenderError: If the run cannot be used.
    """
    if not any(os.path.exists(path) for path in paths):
        missing = ", ".join(map(str, paths))
        raise InvalidImageError(f"{missing}: there is no such file or folder; check the path.")
    chosen = choose_run(run_id)
    predictor = load_predictor(chosen)
    tell_worth(chosen)
    return chosen, predictor


def report(
    answers: Iterable[PhotoAnswer], unread: list[str], *, finished: int = 0, faceless: int = 0
) -> Iterator[PhotoAnswer]:
    """Pass answers on, count them in a bar, name photos that cannot be read, count faceless ones.

    Args:
        answers: One per photo.
        unread: Where the reasons are added.
        finished: Photos that an earlier call has counted.
        faceless: Those of them in which no face was found.

    Yields:
        `answers` as they are.
    """
    with tqdm(unit="photo", initial=finished, disable=None, file=sys.stderr) as bar:
        for answer in answers:
            faceless += answer.error is None and not answer.faces
            if answer.error is not None:
                unread.append(answer.error)
                bar.write(f"unread: {answer.error}", file=sys.stderr)
            bar.update()
            yield answer
    if faceless:
        photos = "1 photo" if faceless == 1 else f"{faceless:,} photos"
        print(
            f"note: no face was found in {photos}; for pictures that are crops of one face "
            "already, add --crops",
            file=sys.stderr,
        )


def unread_code(unread: list[str]) -> int:
    """Return 1 if a photo could not be read, with a last line that counts them."""
    if unread:
        # A path that leads to no photo is among them.
        print(f"could not be read: {len(unread):,}; the reasons are above", file=sys.stderr)
    return 1 if unread else 0


def show(answers: Iterable[PhotoAnswer]) -> int:
    """Print the rows of photos as they come, and return how many faces there were."""
    faces = 0
    # Numbers come first: they stay in line below names of any length.
    print(f"{'age':>5}  {'90% sure':>9}  {'gender':<6}  {'confidence':>10}  {'face':>4}  file")
    for answer in answers:
        faces += len(answer.faces)
        for row in table_rows(answer):
            # Why a photo could not be read is said on stderr.
            notes = "could not be read" if answer.error else row["flags"] or row["reason"]
            if row["age"] is None:
                numbers = f"{'-':>5}  {'-':>9}  {'-':<6}  {'-':>10}  {'-':>4}"
            else:
                low, high = row["age_low"], row["age_high"]
                interval = "-" if low is None or high is None else f"{low:.0f} to {high:.0f}"
                confidence = confidence_words(cast(float, row["gender_confidence"]))
                numbers = (
                    f"{row['age']:5.1f}  {interval:>9}  {row['gender']:<6}  "
                    f"{confidence:>10}  {row['face']:>4}"
                )
            print(f"{numbers}  {row['file']}" + (f"  ({notes})" if notes else ""))
    return faces
