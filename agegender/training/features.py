"""What the frozen backbone sees in each face, computed once and kept.

The backbone runs once per image, ever: its features, of the picture and of
its mirror image, are kept by the image's content hash, apart for each set of
weights and input. They are kept in parts that each hold some seconds of work;
a part appears under its name only when it is whole, so a kill loses seconds.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agegender.config import workspace_dir
from agegender.errors import StoppedError, StorageError
from agegender.model.architecture import FEATURE_COUNT
from agegender.model.preprocessing import PREPROCESSING_VERSION, InputSpec
from agegender.model.weights import BackboneWeights, load_backbone
from agegender.storage import replacing, storage_errors, write_json
from agegender.training.loader import image_batches

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]

VIEWS = 2
"""View 0 is the picture as it is, view 1 is mirrored."""

BATCH_FACES = 16
PART_FACES = 1024
PART_SECONDS = 10.0
"""A part is written when it holds so many faces or so much time, whichever is first."""

_DAMAGE = (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
"""What NumPy raises on a damaged part."""


@dataclass(frozen=True)
class Features:
    """Features of some faces.

    Attributes:
        values: float32, shape (m, 2, 2048), a row for each usable face in the
            order of the faces; a memory map, so that any number of faces fits.
        skipped: Files that are not pictures, or not those that were indexed.
        usable: bool, shape (n,); False where a face was skipped.
    """

    values: FloatArray
    skipped: list[str]
    usable: NDArray[np.bool_]


def load_features(
    dataset_folder: Path,
    faces: pd.DataFrame,
    weights: BackboneWeights,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Features:
    """Return the features of faces, computing those that are not kept yet.

    Args:
        dataset_folder: The folder that `file` is relative to.
        faces: With the columns `file` and `sha256`; the same content is
            computed once.
        weights: The backbone.
        on_progress: Called with (done, total), in distinct faces, kept ones
            counted as done.
        should_stop: Asked after each batch.

    Returns:
        The features; see `Features`.

    Raises:
        StoppedError: If `should_stop` said so; what is done is kept.
        InvalidModelError, ModelNotFoundError: If the weights cannot be read.
        StorageError: If the disk refuses.
    """
    cache = FeatureCache(weights)
    unique = faces.drop_duplicates("sha256")
    missing = unique[~unique["sha256"].isin(cache.index.keys())]
    files = list(zip(missing["file"], missing["sha256"], strict=True))
    kept = len(unique) - len(files)
    if on_progress is not None:
        on_progress(kept, len(unique))
    if files:
        for done in _compute(dataset_folder, files, weights, cache):
            if on_progress is not None:
                on_progress(kept + done, len(unique))
            if should_stop is not None and should_stop():
                cache.write()
                raise StoppedError(
                    f"Stopped after {kept + done} of {len(unique)} faces; their features are kept."
                )
        cache.write()
    usable = faces["sha256"].isin(cache.index.keys()).to_numpy()
    values = cache.gather(faces["sha256"][usable].tolist())
    return Features(values, faces["file"][~usable].tolist(), usable)


def mean_features(values: FloatArray, most: int, *, seed: int) -> FloatArray:
    """Average the features of both views, of some faces if there are many.

    Args:
        values: float32, shape (n, 2, 2048), as in `Features`.
        most: Faces to draw at most.
        seed: Of the draw.

    Returns:
        float32, shape (at most `most`, 2048).
    """
    rows = np.arange(len(values))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    means = np.empty((len(rows), FEATURE_COUNT), np.float32)
    for start in range(0, len(rows), PART_FACES):
        chosen = slice(start, start + PART_FACES)
        means[chosen] = values[rows[chosen]].mean(axis=1)
    return means


def count_missing(faces: pd.DataFrame, weights: BackboneWeights) -> int:
    """Count the distinct faces whose features are still to be computed.

    Args:
        faces: With the column `sha256`.
        weights: The backbone.

    Returns:
        How many; for an estimate of the time that a training takes.
    """
    known = FeatureCache(weights).index.keys()
    return int((~faces["sha256"].drop_duplicates().isin(known)).sum())


class FeatureCache:
    """The parts on disk for one set of weights, and the one being filled.

    Args:
        weights: The backbone; with its input and the preprocessing's version
            it names the folder.
    """

    def __init__(self, weights: BackboneWeights) -> None:
        about = {
            "weights": weights.sha256,
            "size": weights.spec.size,
            "crop": weights.spec.crop,
            "preprocessing": PREPROCESSING_VERSION,
        }
        key = hashlib.sha256(repr(sorted(about.items())).encode()).hexdigest()[:16]
        self.folder = workspace_dir() / "features" / key
        self._about = about
        self._hashes: list[str] = []
        self._values: list[FloatArray] = []
        self._since = time.monotonic()
        self.index: dict[str, tuple[Path, int]] = {}
        """Content hash to the part and the row in it."""
        for part in sorted(self.folder.glob("part-*.npz")):
            self._read_index(part)

    def _read_index(self, part: Path) -> None:
        """Note which faces a part holds; a damaged part counts as not there."""
        try:
            # Opened here, as NumPy leaves a damaged file open.
            with part.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                hashes = arrays["sha256"].tolist()
        except (OSError, *_DAMAGE):
            return
        for row, sha256 in enumerate(hashes):
            self.index[sha256.decode()] = (part, row)

    def add(self, hashes: Sequence[str], values: FloatArray) -> None:
        """Take in the features of some faces, and write a part when it is time."""
        self._hashes.extend(hashes)
        self._values.append(values)
        is_late = time.monotonic() - self._since >= PART_SECONDS
        if is_late or len(self._hashes) >= PART_FACES:
            self.write()

    def write(self) -> None:
        """Write what was taken in since the last part as a new part.

        Raises:
            StorageError: If the disk refuses.
        """
        if self._hashes:
            if not (self.folder / "about.json").exists():
                write_json(self.folder / "about.json", self._about)
            # Named by content, so that two processes never write the same name.
            name = hashlib.sha256("".join(self._hashes).encode()).hexdigest()[:16]
            path = self.folder / f"part-{name}.npz"
            with replacing(path) as part:
                np.savez(
                    part,
                    sha256=np.array(self._hashes, dtype="S64"),
                    values=np.concatenate(self._values),
                )
            for row, sha256 in enumerate(self._hashes):
                self.index[sha256] = (path, row)
        self._hashes, self._values, self._since = [], [], time.monotonic()

    def gather(self, hashes: Sequence[str]) -> FloatArray:
        """Collect the features of faces, one part in memory at a time.

        Args:
            hashes: Content hashes that `index` has, in the wanted order; repeats
                are fine.

        Returns:
            Features, float32, shape (n, 2, 2048).

        Raises:
            StorageError: If the disk refuses, or a part cannot be read (one
                that is damaged is removed).
        """
        by_part: dict[Path, list[tuple[int, int]]] = {}
        for position, sha256 in enumerate(hashes):
            part, row = self.index[sha256]
            by_part.setdefault(part, []).append((position, row))
        values = self._scratch(len(hashes))
        for part, places in by_part.items():
            positions, rows = np.array(places).T
            try:
                with part.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                    values[positions] = arrays["values"][rows]
            except OSError as error:
                # Too many open files, say: nothing is wrong with the part.
                raise StorageError(
                    f"{part} cannot be read ({error.strerror or error}); try again."
                ) from error
            except _DAMAGE as error:
                part.unlink(missing_ok=True)
                raise StorageError(
                    f"{part} is damaged and was removed; try again, and its faces "
                    "are computed anew."
                ) from error
        return values

    def _scratch(self, count: int) -> FloatArray:
        """Make an array on disk that vanishes with its last user."""
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder) as file:
                # Written in full at once: a disk that fills up while a sparse
                # file is mapped ends the process without a word.
                row = bytes(4 * VIEWS * FEATURE_COUNT)
                for _ in range(max(count, 1)):
                    file.write(row)
                file.flush()
                return np.memmap(
                    file, dtype=np.float32, mode="r+", shape=(count, VIEWS, FEATURE_COUNT)
                )


def _compute(
    folder: Path, files: Sequence[tuple[str, str]], weights: BackboneWeights, cache: FeatureCache
) -> Iterator[int]:
    """Compute features batch by batch; yields how many files are done."""
    extract = None
    done = 0
    for batch in image_batches(folder, files, weights.spec, batch_size=BATCH_FACES):
        faces = [(files[row][1], pixels) for row, pixels in batch if pixels is not None]
        if faces:
            # Not before: files that cannot be read need no network.
            extract = extract or _compile_extractor(load_backbone(weights), weights.spec)
            cache.add([sha256 for sha256, _ in faces], extract([pixels for _, pixels in faces]))
        done += len(batch)
        yield done


def _compile_extractor(
    backbone: Any, spec: InputSpec
) -> Callable[[list[NDArray[np.uint8]]], FloatArray]:
    """Compile the backbone for both views of a full batch, traced once."""
    import keras

    shape = (BATCH_FACES, spec.size, spec.size, 3)
    if keras.config.backend() == "tensorflow":
        both_views = _compile_both_views(backbone, shape)
    else:

        def both_views(pixels: NDArray[np.uint8]) -> FloatArray:
            views = (pixels, pixels[:, :, ::-1])
            return np.stack([backbone.predict_on_batch(view) for view in views], axis=1)

    def extract(images: list[NDArray[np.uint8]]) -> FloatArray:
        pixels = np.zeros(shape, dtype=np.uint8)  # the last batch is filled up with black
        pixels[: len(images)] = images
        return both_views(pixels)[: len(images)]

    return extract


def _compile_both_views(
    backbone: Any, shape: tuple[int, ...]
) -> Callable[[NDArray[np.uint8]], FloatArray]:
    """Compile both views as one call, which TensorFlow computes faster than two."""
    import tensorflow as tf

    @tf.function(  # type: ignore[untyped-decorator, unused-ignore]
        input_signature=[tf.TensorSpec(shape, tf.uint8)]
    )
    def both_views(pixels: Any) -> Any:
        rgb = tf.cast(pixels, tf.float32)
        features = backbone(tf.concat([rgb, rgb[:, :, ::-1]], axis=0), training=False)
        return tf.stack(tf.split(features, VIEWS), axis=1)

    def as_array(pixels: NDArray[np.uint8]) -> FloatArray:
        values: FloatArray = both_views(pixels).numpy()
        return values

    return as_array
