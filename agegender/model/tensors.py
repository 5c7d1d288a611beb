"""Arrays in safetensors files, each with its hash in a JSON file beside it.

safetensors holds plain arrays and cannot carry code, unlike a pickle. The JSON
file has the same name; what else is to be known of the arrays is in it, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agegender.errors import InvalidModelError, ModelNotFoundError
from agegender.storage import hash_file, replacing, write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
        ValueError: If `dtype` is neither.
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
    """Write arrays and the JSON beside them, for `read_tensors`.

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


def check_file(path: Path) -> dict[str, Any]:
    """Check a weights file against the hash in the JSON beside it.

    Args:
        path: A file that `save_weights` wrote.

    Returns:
        What `read_metadata` does.

    Raises:
        ModelNotFoundError: If its JSON is missing.
        InvalidModelError: If the JSON is damaged, or the file is cut short or changed.
    """
    metadata = read_metadata(path)
    try:
        sha256 = file_hash(path)
    except OSError as error:
        raise InvalidModelError(
            f"{path} cannot be read ({error.strerror}); fetch the weights again."
        ) from error
    _check_hash(path, metadata, sha256)
    return metadata


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    """Return a file's hash, computed once for each state of the file.

    Args:
        path: The file.
        algorithm: As `hashlib` names it.

    Returns:
        Hexadecimal digits.
    """
    status = path.stat()
    return _hash_file(path, algorithm, status.st_mtime_ns, status.st_size)


def read_tensors(path: Path) -> dict[str, NDArray[np.float32]]:
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


@lru_cache(maxsize=32)
def _hash_file(path: Path, algorithm: str, mtime_ns: int, size: int) -> str:
    return hash_file(path, algorithm)
