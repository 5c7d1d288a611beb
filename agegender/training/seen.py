"""Which faces a model was trained on, kept beside its weights as hashes.

A face that the backbone or the heads have seen must not count when the model is
measured, whatever folder it comes from. Only hashes travel, never pictures.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agegender.dataset.duplicates import near_matches
from agegender.errors import InvalidModelError
from agegender.model.tensors import file_hash, read_metadata
from agegender.model.weights import file_of_project
from agegender.storage import replacing

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

SEEN_NAME = "seen.npy"
"""Name of the file beside a backbone's weights."""

SEEN_HASH = "seen_sha256"
"""Its SHA-256 in the JSON beside the weights, where they cannot do without the list."""

TRAIN_FACES_NAME = "train_faces.npy"
"""Name of the file in a run's folder: what its heads have seen, and its backbone."""

CONTENT_BYTES = 8
"""Of the SHA-256: among a million faces, two share these by chance once in 40 million."""

PERCEPTUAL_BYTES = 32

_MAX_KEPT = 8
_kept: dict[tuple[Path, int, int, str], NDArray[np.bool_]] = {}


def seen_file(backbone: str) -> Path | None:
    """Return the list beside a backbone's weights.

    Args:
        backbone: What `model.weights.find_weights` takes.

    Returns:
        The file; None for weights that have no list, or are gone and it with them.

    Raises:
        InvalidModelError: If the JSON beside the weights is damaged, or names a list that is
            missing or has changed: faces that the weights have learned from would count
            as new ones.
    """
    weights = file_of_project(backbone)
    if weights is None:
        return None
    file = weights.with_name(SEEN_NAME)
    # Weights without their JSON cannot be loaded, which says so.
    is_described = weights.with_suffix(".json").exists()
    expected = read_metadata(weights).get(SEEN_HASH) if is_described else None
    if not file.exists():
        if expected is None:
            return None
        raise _unreadable(file, "it is missing")
    if expected is not None and file_hash(file) != expected:
        raise _unreadable(file, "it has changed")
    return file


def write_seen(samples: pd.DataFrame, path: Path, *, earlier: Path | None = None) -> None:
    """Write the hashes of the faces that weights were trained on.

    Args:
        samples: With `sha256` and `phash` (64 hexadecimal digits each).
        path: The file (.npy): uint8, shape (n, 40), a face a row, sorted.
        earlier: Such a file of the weights that these went on from, whose faces
            count as well; None where there is none.

    Raises:
        InvalidModelError: If the earlier file is damaged.
        StorageError: If the disk refuses.
    """
    rows = {
        bytes.fromhex(sha256[: 2 * CONTENT_BYTES] + phash)
        for sha256, phash in zip(samples["sha256"], samples["phash"], strict=True)
    }
    if earlier is not None:
        rows |= {row.tobytes() for row in read_seen(earlier)}
    table = np.frombuffer(b"".join(sorted(rows)), np.uint8)
    with replacing(path) as part, part.open("wb") as file:
        np.save(file, table.reshape(len(rows), CONTENT_BYTES + PERCEPTUAL_BYTES))


def is_seen(faces: pd.DataFrame, path: Path) -> NDArray[np.bool_]:
    """Tell which faces weights were trained on, exactly or nearly.

    The last answers are kept: comparing 20,000 faces takes seconds, and an
    evaluation asks several times.

    Args:
        faces: With `sha256` and `phash`.
        path: What `write_seen` wrote.

    Returns:
        True for each face whose content is that of a train face, or whose
        perceptual hash is near one (`duplicates.near_matches`); shape (n,).

    Raises:
        InvalidModelError: If the file is damaged.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    content = hashlib.sha256("".join(faces["sha256"]).encode()).hexdigest()
    key = (path, status.st_ino, status.st_mtime_ns, content)
    # Other threads may clear it between two looks.
    if (seen := _kept.get(key)) is None:
        seen = _compare(faces, path)
        if len(_kept) >= _MAX_KEPT:
            _kept.clear()
        _kept[key] = seen
    return seen.copy()


def read_seen(path: Path) -> NDArray[np.uint8]:
    """Return the table that `write_seen` wrote.

    Args:
        path: The file.

    Returns:
        uint8, shape (n, 40).

    Raises:
        InvalidModelError: If it is missing or damaged.
    """
    try:
        # Not `np.load`, which takes other formats too, and leaves a damaged one open.
        with path.open("rb") as file:
            table = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(path, error) from error
    width = CONTENT_BYTES + PERCEPTUAL_BYTES
    if table.dtype != np.uint8 or table.shape[1:] != (width,):
        raise _unreadable(path, "it is no list of hashes")
    return table


def _unreadable(path: Path, reason: object) -> InvalidModelError:
    return InvalidModelError(
        f"{path} cannot be read ({reason}); restore it from where the weights came from."
    )


def _compare(faces: pd.DataFrame, path: Path) -> NDArray[np.bool_]:
    table = read_seen(path)
    seen = {row.tobytes() for row in table[:, :CONTENT_BYTES]}
    hashes = [row.tobytes().hex() for row in table[:, CONTENT_BYTES:]]
    result = np.array(
        [bytes.fromhex(sha256[: 2 * CONTENT_BYTES]) in seen for sha256 in faces["sha256"]], bool
    )
    for row, _ in near_matches(faces["phash"].tolist(), hashes):
        result[row] = True
    return result
