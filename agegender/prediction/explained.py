"""Answered photos with heatmaps as files: a folder for each photo, or one ZIP."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from agegender.errors import InvalidImageError, StorageError
from agegender.explanation.figure import plot_explanation
from agegender.explanation.overlay import explanation_pictures
from agegender.images import jpeg_bytes, png_bytes
from agegender.prediction.drawing import draw_answers
from agegender.prediction.photos import FaceAnswer, PhotoAnswer, predict_photo
from agegender.prediction.tables import Row, read_csv, table_bytes, write_table
from agegender.prediction.unfinished import open_unfinished
from agegender.prediction.words import UNSURE_BELOW, describe
from agegender.storage import replacing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agegender.prediction.predictor import Predictor
    from agegender.prediction.sources import Picture

FIGURE_DPI = 120

_KEPT_FOR = {"table": "of explained photos"}
"""Tells what is kept for this table from what `predict` keeps for one of the same name."""

_OWN_FILES = re.compile(r"photo\.jpg|\d+-(face|figure|\w+-(heatmap|overlay))\.png")


@dataclass(frozen=True)
class ExplainedPhoto:
    """One photo's answer and its pictures to take away.

    Attributes:
        answer: What came of it.
        files: Names and bytes, made one by one as they are taken, and once only:
            `photo.jpg` with boxes and labels, and for each face by its number
            `1-face.png`, `1-age-overlay.png`, …, `1-figure.png`. None without a face.
    """

    answer: PhotoAnswer
    files: Iterator[tuple[str, bytes]]


def explain_photos(
    predictor: Predictor,
    pictures: Iterable[Picture],
    *,
    is_crop: bool = False,
) -> Iterator[ExplainedPhoto]:
    """Predict and explain every face in any number of photos.

    Args:
        predictor: The model.
        pictures: What `iter_pictures` yields; one at a time is in memory.
        is_crop: As for `predict_photo`; there is then no `photo.jpg`.

    Yields:
        One item per photo, in order.
    """
    for name, content in pictures:
        if isinstance(content, InvalidImageError):
            yield ExplainedPhoto(PhotoAnswer(name, error=str(content)), iter(()))
            continue
        answer = PhotoAnswer(name, predict_photo(predictor, content, is_crop=is_crop))
        yield explain_photo(predictor, answer, None if is_crop else content)


def explain_photo(
    predictor: Predictor,
    answer: PhotoAnswer,
    photo: NDArray[np.uint8] | None,
    *,
    unsure_below: float = UNSURE_BELOW,
    most_faces: int | None = None,
) -> ExplainedPhoto:
    """Explain an answer that there is already.

    Args:
        predictor: The model that answered.
        answer: What `predict_photos` gave for the photo.
        photo: RGB, uint8, shape (height, width, 3), to draw the boxes on; None for
            a picture that was taken as a crop.
        unsure_below: As for `draw_answers`.
        most_faces: Faces that are explained, the largest first; all by default.
    """
    files = _explanation_files(predictor, answer.faces, photo, unsure_below, most_faces)
    return ExplainedPhoto(answer, files)


def _explanation_files(
    predictor: Predictor,
    answers: Sequence[FaceAnswer],
    photo: NDArray[np.uint8] | None,
    unsure_below: float,
    most_faces: int | None,
) -> Iterator[tuple[str, bytes]]:
    """Make the pictures of a photo's faces."""
    if photo is not None and answers:
        yield "photo.jpg", jpeg_bytes(draw_answers(photo, answers, unsure_below=unsure_below))
    for number, answer in enumerate(answers[:most_faces], start=1):
        explanation = predictor.explain(answer.crop)
        face = predictor.display_face(answer.crop)
        shown = {"face": face} | explanation_pictures(face, explanation)
        for label, rgb in shown.items():
            yield f"{number}-{label}.png", png_bytes(rgb)
        title = describe(answer.prediction, unsure_below=unsure_below)
        figure = plot_explanation(face, explanation, title=title)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=FIGURE_DPI)
        yield f"{number}-figure.png", drawn.getvalue()


def write_folder(explained: Iterable[ExplainedPhoto], folder: Path) -> Iterator[PhotoAnswer]:
    """Write a folder of pictures per photo, and `predictions.csv` at the end, stopped or not.

    What a killed process has written comes into the table the next time.

    Args:
        explained: What `explain_photos` yields.
        folder: Made if need be. What else is in it stays, rows of other photos in the
            table too; only folders that hold nothing but files of these names are
            replaced.

    Yields:
        The answers, as their pictures are written.

    Raises:
        StorageError: If the disk refuses, a photo's folder or the table would replace
            other files, or another process writes there.
    """
    table = folder / "predictions.csv"
    with open_unfinished(table, _KEPT_FOR) as kept:
        earlier = read_csv(table) if table.exists() else []
        rows = _merged(earlier, list(kept.rows()))
        # Whose a folder is, its row tells.
        names = _Names(dict.fromkeys(str(row["file"]) for row in rows if row["face"]))
        try:
            for item in explained:
                if item.answer.faces:
                    target = folder / names.next(item.answer.file)
                    _check_replaceable(target)
                    with replacing(target) as part:
                        part.mkdir()
                        for name, data in item.files:
                            (part / name).write_bytes(data)
                        # Before the folder is in its place: no folder is without a row.
                        kept.add(item.answer)
                else:
                    kept.add(item.answer)
                yield item.answer
        finally:
            # When it is stopped, too.
            if rows := _merged(earlier, list(kept.rows())):
                write_table(rows, table)
            kept.remove()


def _merged(earlier: Sequence[Row], rows: Sequence[Row]) -> list[Row]:
    """Put a photo's new rows in the place of its old ones: the order tells whose a folder is."""
    by_file: dict[object, list[Row]] = {}
    for row in earlier:
        by_file.setdefault(row["file"], []).append(row)
    by_file |= {row["file"]: [] for row in rows}
    for row in rows:
        by_file[row["file"]].append(row)
    return [row for several in by_file.values() for row in several]


def _check_replaceable(target: Path) -> None:
    """Refuse to replace a folder that holds anything but what `explain_photos` makes."""
    if not target.is_dir():
        stranger = target if target.exists() else None
    else:
        stranger = next(
            (path for path in target.iterdir() if not _OWN_FILES.fullmatch(path.name)), None
        )
    if stranger is not None:
        raise StorageError(
            f"{stranger} would be replaced, but is not a heatmap; name another output folder."
        )


def write_zip(explained: Iterable[ExplainedPhoto], rows: Sequence[Row], target: BinaryIO) -> None:
    """Write a ZIP with a folder of pictures per photo and the tables.

    Args:
        explained: What `explain_photo` gave for the photos that have pictures;
            written as they come.
        rows: Of the tables, which may have more photos.
        target: A stream to write to.
    """
    names = _Names()
    # PNG and JPEG files are compressed already.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for item in explained:
            folder = names.next(item.answer.file) if item.answer.faces else ""
            for name, data in item.files:
                archive.writestr(f"{folder}/{name}", data)
        for suffix in (".csv", ".jsonl"):
            archive.writestr(f"predictions{suffix}", table_bytes(rows, suffix))


class _Names:
    """Makes folder names out of pictures' names.

    The first picture of a name gets it, others of the same name add a hash.

    Args:
        files: Pictures that have their names already, in the order in which they got them.
    """

    def __init__(self, files: Iterable[str] = ()) -> None:
        self._owners: dict[str, str] = {}
        self._times: Counter[str] = Counter()
        for file in files:
            self._name(file)

    def next(self, file: str) -> str:
        """Return a safe name for the next picture; for a file it is the same in every call."""
        self._times[file] += 1
        times = self._times[file]
        # Two uploads, or members of a ZIP, can have one name.
        return self._name(file if times == 1 else f"{file} {times}", of=file)

    def _name(self, picture: str, *, of: str = "") -> str:
        # Only letters, digits and a few signs: no name leads out of the folder.
        stem = re.sub(r"[^\w-]+", "-", PurePosixPath(of or picture).stem).strip("-")[-60:]
        stem = stem or "picture"
        # Some file systems take "A" and "a" for the same.
        if self._owners.setdefault(stem.casefold(), picture) == picture:
            return stem
        return f"{stem}-{hashlib.sha256(picture.encode()).hexdigest()[:12]}"
