"""The demo set: a folder of drawn faces in UTKFace's layout.

It lets every page be tried with nothing downloaded. Besides the faces it holds
the oddities of the real set, a few of each, so that the pages that report them
have something to show.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agegender.config import SEED
from agegender.dataset.archives import is_empty_folder
from agegender.dataset.drawing.face import draw_face
from agegender.dataset.duplicates import CANDIDATE_BITS, perceptual_hash
from agegender.dataset.hashing import HASH_BITS, pack_hashes
from agegender.errors import DatasetError
from agegender.images import jpeg_bytes
from agegender.storage import replacing

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEMO_MARKER = "DEMO-FACES.txt"
"""Its presence in a dataset folder says that the faces there are drawn."""

DEMO_FACES = 400

_MARKER_TEXT = """\
These faces are drawn by a program (agegender's demo set). They show nobody.
Each picture's name holds the age, gender and race group that it was drawn for.
Use them to try the app; figures measured on them say nothing about people.

On purpose, as in the real set: {malformed} names lack a field, {copies} pictures are exact
copies (one of them with another age), and {truncated} file is cut short.
"""

_DECADE_SHARES = (13.0, 6.5, 22.0, 19.0, 9.5, 9.7, 5.6, 3.0, 2.0, 0.5)
"""Faces per decade of age as in UTKFace, in percent, the peak ages apart."""

_PEAK_SHARES = {26: 7.2, 1: 2.0}
"""Ages that stand out of their decade in UTKFace, in percent."""

_FEMALE_SHARE = 0.48
_RACE_SHARES = (0.42, 0.19, 0.15, 0.17, 0.07)

_MALFORMED = 2
_TRUNCATED = 1
_COPIES = 3
DEMO_ODDITIES = _MALFORMED + _TRUNCATED + _COPIES
"""Files in the demo folder besides the faces that were asked for."""

_MARGIN_BITS = 8
"""By how much JPEG, and a guess at the mirrored picture, may change a hash."""

_MAX_REDRAWS = 40

_FIRST_DATE = datetime.datetime(2017, 1, 16, 9, 0, 0)
_JPEG_QUALITY = 92


def draw_demo_faces(
    dest: Path,
    *,
    count: int = DEMO_FACES,
    seed: int = SEED,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Draw the demo set into a folder, whole or not at all.

    The files are a pure function of `count` and `seed`. Besides `count` faces
    there are `DEMO_ODDITIES` more: two with malformed names and one cut
    short, which cannot be used, and three exact copies, one of them under
    another age.

    Args:
        dest: The folder to make. An earlier demo set there is replaced.
        count: Number of faces, at least 10.
        seed: Source of all chance.
        on_progress: Called with (faces drawn, faces in all).

    Returns:
        The folder.

    Raises:
        ValueError: If `count` is below 10.
        DatasetError: If `dest` holds anything but a demo set.
        StorageError: If the disk refuses.
    """
    if count < 10:
        raise ValueError(f"count is {count}, but must be at least 10")
    has_demo_faces(dest)
    # A link stays one: what it leads to is filled, perhaps on another disk.
    with replacing(Path(os.path.realpath(dest))) as part:
        part.mkdir()
        _draw_folder(part, count, seed, on_progress)
    return dest


def has_demo_faces(dest: Path) -> bool:
    """Tell whether the demo set is in a folder already.

    Args:
        dest: A folder that may not exist.

    Returns:
        True if it holds the demo set, False if it does not exist or is empty.

    Raises:
        DatasetError: If it holds anything else.
    """
    # `Path.exists` raises where a name is too long or a folder is locked.
    if os.path.exists(dest / DEMO_MARKER):
        return True
    if os.path.exists(dest) and not is_empty_folder(dest):
        raise DatasetError(
            f"{dest} is there already and holds no demo faces; nothing was changed. "
            "Choose another folder."
        )
    return False


def _draw_folder(
    folder: Path, count: int, seed: int, on_progress: Callable[[int, int], None] | None
) -> None:
    rng = np.random.default_rng(seed)
    total = count + _MALFORMED + _TRUNCATED
    ages = rng.choice(100, total, p=_age_shares()).tolist()
    genders = rng.binomial(1, _FEMALE_SHARE, total).tolist()
    races = rng.choice(len(_RACE_SHARES), total, p=_RACE_SHARES).tolist()
    labels = list(zip(ages, genders, races, strict=True))
    contents: list[bytes] = []
    hashes = np.zeros((total, HASH_BITS // 64), np.uint64)
    for number, (age, gender, race) in enumerate(labels):
        rgb, hashes[number] = _draw_another(labels[number], (seed, number), hashes[:number])
        content = jpeg_bytes(rgb, quality=_JPEG_QUALITY)
        date = _date(number)
        if number < count:
            name = f"{age}_{gender}_{race}_{date}"
            contents.append(content)
        elif number < count + _MALFORMED:
            name = f"{age}_{gender}_{date}"
        else:
            name = f"{age}_{gender}_{race}_{date}"
            content = content[: len(content) // 2]
        (folder / f"{name}.jpg.chip.jpg").write_bytes(content)
        if on_progress is not None:
            on_progress(number + 1, total)
    for copy, original in enumerate(rng.choice(count, _COPIES, replace=False)):
        age, gender, race = labels[original]
        if copy == 0:
            age = age + 4 if age < 60 else age - 4
        name = f"{age}_{gender}_{race}_{_date(total + copy)}.jpg.chip.jpg"
        (folder / name).write_bytes(contents[original])
    text = _MARKER_TEXT.format(malformed=_MALFORMED, copies=_COPIES, truncated=_TRUNCATED)
    (folder / DEMO_MARKER).write_text(text, encoding="utf-8")


def _draw_another(
    labels: tuple[int, int, int], seeds: tuple[int, int], earlier: NDArray[np.uint64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """Draw a face that is not a near duplicate of an earlier one, mirrored or not.

    Each face has its own chance, so that one that is drawn again changes no other.

    Returns:
        Its pixels and its packed perceptual hash.
    """
    for attempt in range(_MAX_REDRAWS):
        rgb = draw_face(*labels, np.random.default_rng([*seeds, attempt]))
        # The face as it is and mirrored.
        own = pack_hashes([perceptual_hash(rgb), perceptual_hash(rgb[:, ::-1])])
        bits = np.bitwise_count(earlier ^ own[:, None]).sum(axis=2)
        if bits.min(initial=HASH_BITS) > CANDIDATE_BITS + _MARGIN_BITS:
            break
    return rgb, own[0]


def _age_shares() -> NDArray[np.float64]:
    """Return the probability of each age, 0 to 99 years."""
    shares = np.repeat(np.array(_DECADE_SHARES) / 10, 10)
    for age, extra in _PEAK_SHARES.items():
        shares[age] += extra
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def _date(number: int) -> str:
    """Return a date and time in UTKFace's form, another for each number."""
    moment = _FIRST_DATE + datetime.timedelta(seconds=17 * number)
    return f"{moment:%Y%m%d%H%M%S}{number % 1000:03d}"
