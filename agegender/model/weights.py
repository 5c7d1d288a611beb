"""Where the backbone's weights come from, and how weights are kept in files.

A set of weights is chosen by name: `shipped` travels with the project,
`imagenet` is Keras' own file, `random` is drawn from the seed (plumbing, no
skill), and anything else is the path of a safetensors file. That format holds
plain arrays and cannot carry code, unlike a pickle. Beside each file stands a
JSON file of the same name with its hash and the input that it was trained on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agegender.config import SEED, SHIPPED_DIR
from agegender.errors import InvalidModelError, ModelNotFoundError
from agegender.model.architecture import build_backbone
from agegender.model.preprocessing import InputSpec
from agegender.storage import replacing, storage_errors, write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHIPPED, IMAGENET, RANDOM = "shipped", "imagenet", "random"

SHIPPED_FILE = SHIPPED_DIR / "backbone.safetensors"

IMAGENET_NAME = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
IMAGENET_MD5 = "4d473c1dd8becc155b73f8504c6f6626"
IMAGENET_URL = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
DOWNLOAD_RETRIES = 2
DOWNLOAD_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class BackboneWeights:
    """One set of backbone weights.

    Attributes:
        name: What it was chosen by: "shipped", "imagenet", "random" or a path.
        file: Its file; None for random weights.
        sha256: Hash of the file, or of the recipe of random weights. Part of
            the key of every cached feature.
        spec: The input that it was trained on.
        has_skill: False for random weights, whose figures must be labelled.
    """

    name: str
    file: Path | None
    sha256: str
    spec: InputSpec
    has_skill: bool


def default_weights() -> str:
    """Return the name of the weights to use when none is given."""
    return SHIPPED if SHIPPED_FILE.exists() else RANDOM


def find_weights(name: str) -> BackboneWeights:
    """Look up a set of backbone weights; `imagenet` is downloaded if need be.

    Args:
        name: "shipped", "imagenet", "random" ("random:64" for another input
            size than the standard one), or the path of a safetensors file.

    Returns:
        The weights' description; their values are not read yet.

    Raises:
        ModelNotFoundError: If there are no such weights, or `imagenet` cannot
            be downloaded.
        InvalidModelError: If the file or the JSON beside it is damaged.
    """
    if name == SHIPPED:
        if not SHIPPED_FILE.exists():
            raise ModelNotFoundError(
                f"The shipped weights are missing ({SHIPPED_FILE}): fetch the whole project "
                f"again, or choose the backbone {IMAGENET!r} or {RANDOM!r}."
            )
        return _weights_of_file(SHIPPED, SHIPPED_FILE)
    if name == IMAGENET:
        file = fetch_imagenet()
        return BackboneWeights(IMAGENET, file, _file_hash(file), InputSpec(), has_skill=True)
    if match := re.fullmatch(rf"{RANDOM}(?::([1-9]\d{{0,3}}))?", name):
        try:
            spec = InputSpec(int(match[1])) if match[1] else InputSpec()
        except ValueError as error:
            raise ModelNotFoundError(
                f"There are no backbone weights {name!r} ({error}); choose a larger size."
            ) from error
        recipe = f"{RANDOM}, Glorot uniform, seed {SEED}"
        return BackboneWeights(
            name, None, hashlib.sha256(recipe.encode()).hexdigest(), spec, has_skill=False
        )
    path = _find_file(name)
    if path is None:
        raise ModelNotFoundError(
            f"There are no backbone weights {name!r}: choose {SHIPPED!r}, {IMAGENET!r}, "
            f"{RANDOM!r} or the path of a safetensors file."
        )
    return _weights_of_file(name, path)


def lasting_name(name: str) -> str:
    """Return the name of a set of weights so that it holds in any working folder.

    Args:
        name: What `find_weights` takes.

    Returns:
        The absolute path of a file that is there; any other name as it is.
    """
    path = None if name in (SHIPPED, IMAGENET, RANDOM) else _find_file(name)
    return name if path is None else str(path.resolve())


def file_of_project(name: str) -> Path | None:
    """Return the file of weights that this project saved; nothing is read or downloaded.

    Args:
        name: What `find_weights` takes.

    Returns:
        The file; None if it is gone, or for weights of another kind.
    """
    if name in (IMAGENET, RANDOM):
        return None
    return _find_file(str(SHIPPED_FILE) if name == SHIPPED else name)


def _find_file(name: str) -> Path | None:
    """Return the file of a name, if there is one."""
    try:
        path = Path(name).expanduser()
        return path if path.is_file() else None
    except (OSError, RuntimeError):
        # A name that is too long, a folder that may not be looked into, no such user.
        return None


def _weights_of_file(name: str, path: Path) -> BackboneWeights:
    """Describe a safetensors file by the JSON beside it."""
    metadata = read_metadata(path)
    try:
        spec = InputSpec(int(metadata["size"]), float(metadata["crop"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidModelError(
            f"{path.with_suffix('.json')}: size and crop of the input are missing or wrong "
            f"({error}); fetch the weights and their JSON file again."
        ) from error
    _check_hash(path, metadata, _file_hash(path))
    return BackboneWeights(
        name, path, str(metadata["sha256"]), spec, has_skill=bool(metadata.get("has_skill", True))
    )


def load_backbone(weights: BackboneWeights) -> Any:
    """Build the backbone with its weights, in float32.

    Args:
        weights: What `find_weights` gave.

    Returns:
        A `keras.Model` from RGB 0..255, float32, shape (batch, size, size, 3),
        to features, float32, shape (batch, 2048); not trainable.

    Raises:
        InvalidModelError: If the file is damaged, has changed since it was
            looked up, or is of another architecture.
    """
    with float32_policy():
        backbone = build_backbone(weights.spec.size)
    backbone.trainable = False
    if weights.file is None:
        assign_weights(backbone, _draw_weights(backbone), source=weights.name)
    elif weights.name == IMAGENET:
        try:
            backbone.load_weights(weights.file)
        except (OSError, ValueError, KeyError) as error:
            raise InvalidModelError(
                f"{weights.file} cannot be read ({error}); delete it, so that it is fetched again."
            ) from error
    else:
        tensors = read_weights(weights.file)
        if read_metadata(weights.file)["sha256"] != weights.sha256:
            raise InvalidModelError(
                f"{weights.file} has changed since it was chosen; choose it again."
            )
        assign_weights(backbone, tensors, source=str(weights.file))
    return backbone


@contextmanager
def float32_policy() -> Iterator[None]:
    """Build layers in float32, whatever precision a pretraining has set."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _draw_weights(model: Any) -> dict[str, NDArray[np.float32]]:
    """Draw weights from the seed with Keras' default distributions.

    By NumPy, whose streams are stable: cached features must stay valid when
    TensorFlow or Keras change.
    """
    rng = np.random.default_rng(SEED)
    tensors = {}
    for variable in model.variables:
        shape = tuple(variable.shape)
        if variable.name == "kernel":
            # Glorot and Bengio, AISTATS 2010, eq. 16.
            fan_in_out = np.prod(shape[:-2]) * (shape[-2] + shape[-1])
            limit = np.sqrt(6.0 / fan_in_out)
            values = rng.uniform(-limit, limit, shape)
        else:
            values = np.full(shape, variable.name in ("gamma", "moving_variance"))
        tensors[variable.path] = values.astype(np.float32)
    return tensors


# -- Files ---------------------------------------------------------------------


def save_weights(
    model: Any, path: Path, *, dtype: str = "float32", metadata: Mapping[str, Any] | None = None
) -> str:
    """Write a model's weights and the JSON beside them.

    Args:
        model: Any `keras.Model`; each variable is kept under its path.
        path: File to write, ending in .safetensors.
        dtype: "float32" or "float16" (half the size).
        metadata: Goes into the JSON file; of a backbone, at least `size`
            (pixels) and `crop` (see `InputSpec`).

    Returns:
        The file's SHA-256.

    Raises:
        InvalidModelError: If a weight overflows, or a variance becomes zero,
            in float16.
        StorageError: If the disk refuses.
    """
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype is {dtype!r}, but must be 'float32' or 'float16'")
    tensors = {}
    for variable in model.variables:
        values = np.asarray(variable, dtype=np.float32)
        with np.errstate(over="ignore"):
            rounded = values.astype(dtype)
        # Below 6e-8 float16 is zero. In a variance that would blow up a dead channel.
        vanished = variable.name == "moving_variance" and (rounded[values > 0] == 0).any()
        if vanished or not np.isfinite(rounded).all():
            raise InvalidModelError(
                f"{variable.path} cannot be kept in {dtype}: "
                f"{'a variance becomes zero' if vanished else 'a value is too large'}; "
                "save the weights in float32."
            )
        tensors[variable.path] = np.ascontiguousarray(rounded)
    return save_tensors(tensors, path, {"dtype": dtype, **(metadata or {})})


def save_tensors(
    tensors: Mapping[str, NDArray[np.floating]], path: Path, metadata: Mapping[str, Any]
) -> str:
    """Write arrays and the JSON beside them, for `read_weights`.

    Args:
        tensors: float16 or float32, by name.
        path: File to write, ending in .safetensors.
        metadata: Goes into the JSON file.

    Returns:
        The file's SHA-256.

    Raises:
        StorageError: If the disk refuses.
    """
    from safetensors.numpy import save

    data: bytes = save(dict(tensors))
    sha256 = hashlib.sha256(data).hexdigest()
    with replacing(path) as part:
        part.write_bytes(data)
        # Before the arrays get their name: a kill must not leave them without it.
        write_json(path.with_suffix(".json"), {"sha256": sha256, "bytes": len(data), **metadata})
    return sha256


def read_metadata(path: Path) -> dict[str, Any]:
    """Read the JSON beside a weights file.

    Args:
        path: The weights file.

    Returns:
        What `save_weights` wrote, with at least `sha256`.

    Raises:
        ModelNotFoundError: If there is none.
        InvalidModelError: If it is damaged.
    """
    beside = path.with_suffix(".json")
    try:
        metadata = json.loads(beside.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelNotFoundError(
            f"{path} needs {beside.name} beside it, which names its hash and input size; "
            "copy both files together."
        ) from error
    except (OSError, ValueError) as error:
        raise InvalidModelError(
            f"{beside} cannot be read ({error}); fetch it and the weights again."
        ) from error
    if not isinstance(metadata, dict) or "sha256" not in metadata:
        raise InvalidModelError(f"{beside} names no sha256; fetch it and the weights again.")
    return metadata


def read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read a weights file and check it against the hash in the JSON beside it.

    Args:
        path: A file that `save_weights` wrote.

    Returns:
        Arrays by variable path, widened to float32.

    Raises:
        ModelNotFoundError: If the file or its JSON is missing.
        InvalidModelError: If it is cut short, changed, or not safetensors.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    metadata = read_metadata(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelNotFoundError(
            f"{path} cannot be read ({error.strerror}); fetch the weights again."
        ) from error
    _check_hash(path, metadata, hashlib.sha256(data).hexdigest())
    try:
        tensors = load(data)
        kinds = {str(values.dtype) for values in tensors.values()}
    except (SafetensorError, KeyError, ValueError) as error:
        raise InvalidModelError(
            f"{path} is not a safetensors file ({error}); other formats, pickles above all, "
            "are not read because they can carry code."
        ) from error
    if not kinds <= {"float16", "float32"}:
        raise InvalidModelError(
            f"{path} holds {', '.join(sorted(kinds))}, but weights are float16 or float32; "
            "fetch the weights again."
        )
    return {name: values.astype(np.float32) for name, values in tensors.items()}


def assign_weights(model: Any, tensors: Mapping[str, NDArray[np.float32]], *, source: str) -> None:
    """Put arrays into a model's variables; every variable must have its array.

    Args:
        model: Any `keras.Model`.
        tensors: By variable path.
        source: Where they come from, for the message.

    Raises:
        InvalidModelError: If names or shapes differ; the model is unchanged.
    """
    wanted = {variable.path: tuple(variable.shape) for variable in model.variables}
    given = {name: values.shape for name, values in tensors.items()}
    differing = sorted(
        name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name)
    )
    if differing:
        name = differing[0]
        raise InvalidModelError(
            f"{source} is of another architecture: {len(differing)} arrays differ, first {name} "
            f"({given.get(name, 'missing')} in the file, {wanted.get(name, 'none')} in the "
            "model); use weights that this project saved."
        )
    for variable in model.variables:
        variable.assign(tensors[variable.path])


def _check_hash(path: Path, metadata: Mapping[str, Any], sha256: str) -> None:
    """Refuse a file that is not the one its JSON describes."""
    if sha256 == metadata["sha256"]:
        return
    size, whole = path.stat().st_size, metadata.get("bytes")
    if isinstance(whole, int) and size < whole:
        reason = f"is cut short ({size} of {whole} bytes)"
    else:
        reason = f"has SHA-256 {sha256[:12]}…, but should have {str(metadata['sha256'])[:12]}…"
    raise InvalidModelError(f"{path} {reason}; fetch the weights again.")


def _file_hash(path: Path) -> str:
    """Return a file's SHA-256, computed once for each state of the file."""
    status = path.stat()
    return _hash_file(path, "sha256", status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=32)
def _hash_file(path: Path, algorithm: str, mtime_ns: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


# -- ImageNet --------------------------------------------------------------------


def imagenet_file() -> Path:
    """Return where Keras keeps its ImageNet weights; a file put there is used."""
    home = os.environ.get("KERAS_HOME")
    folder = Path(home) if home else Path.home() / ".keras"
    return folder / "models" / IMAGENET_NAME


def fetch_imagenet() -> Path:
    """Return Keras' ImageNet weights, downloading them the first time.

    Returns:
        The file, whose MD5 is that which Keras publishes.

    Raises:
        ModelNotFoundError: If it is not there and cannot be downloaded.
        InvalidModelError: If a file is there but is another one.
        StorageError: If the disk refuses.
    """
    import pooch
    import requests

    path = imagenet_file()
    if not path.exists():
        source = pooch.create(
            path=path.parent,
            base_url=IMAGENET_URL,
            registry={IMAGENET_NAME: f"md5:{IMAGENET_MD5}"},
            retry_if_failed=DOWNLOAD_RETRIES,
        )
        try:
            with storage_errors(path):
                source.fetch(
                    IMAGENET_NAME,
                    downloader=pooch.HTTPDownloader(timeout=DOWNLOAD_TIMEOUT_SECONDS),
                )
        # pooch reports a wrong hash as ValueError.
        except (requests.RequestException, ValueError) as error:
            raise ModelNotFoundError(
                f"The ImageNet weights could not be downloaded ({type(error).__name__}): fetch "
                f"{IMAGENET_URL}{IMAGENET_NAME} where there is a network and put it at {path}, "
                f"or choose another backbone."
            ) from error
    status = path.stat()
    md5 = _hash_file(path, "md5", status.st_mtime_ns, status.st_size)
    if md5 != IMAGENET_MD5:
        raise InvalidModelError(
            f"{path} has MD5 {md5}, but Keras' file has {IMAGENET_MD5}; delete it, so that it is "
            "fetched again."
        )
    return path
