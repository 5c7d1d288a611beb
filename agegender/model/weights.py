"""Which weights there are for the backbone, and loading them into it.

A set of weights is chosen by name: `shipped` travels with the project,
`imagenet` is Keras' own file, `random` is drawn from the seed (plumbing, no
skill), and anything else is the path of a file that this project saved (see
`model.tensors`), whose JSON names the input that it was trained on.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agegender.config import SEED, SHIPPED_DIR
from agegender.errors import InvalidModelError, ModelNotFoundError
from agegender.model.architecture import build_backbone, float32_policy
from agegender.model.imagenet import find_imagenet
from agegender.model.preprocessing import InputSpec
from agegender.model.tensors import (
    assign_weights,
    check_file,
    file_hash,
    read_metadata,
    read_tensors,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHIPPED, IMAGENET, RANDOM = "shipped", "imagenet", "random"

SHIPPED_FILE = SHIPPED_DIR / "backbone.safetensors"


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
    """Look up a set of backbone weights; nothing is downloaded.

    Args:
        name: "shipped", "imagenet", "random" ("random:64" for another input
            size than the standard one), or the path of a safetensors file.

    Returns:
        The weights' description; their values are not read yet.

    Raises:
        ModelNotFoundError: If there are no such weights; `imagenet` must have been fetched
            (`imagenet.fetch_imagenet`), as a training does.
        InvalidModelError: If the file or the JSON beside it is damaged.
    """
    if name == SHIPPED:
        if not SHIPPED_FILE.exists():
            raise ModelNotFoundError(
                f"The shipped weights are missing ({SHIPPED_FILE}): bring them back with "
                "`git checkout -- agegender/shipped` (or fetch the project again), or choose the "
                f"backbone {IMAGENET!r} or {RANDOM!r}."
            )
        return _weights_of_file(SHIPPED, SHIPPED_FILE)
    if name == IMAGENET:
        file = find_imagenet()
        return BackboneWeights(IMAGENET, file, file_hash(file), InputSpec(), has_skill=True)
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


def backbone_label(name: str) -> str:
    """Name a set of weights as a person would.

    Args:
        name: What `find_weights` takes; the weights need not be there.

    Returns:
        "shipped backbone", "random backbone, 64 px", or a file's name.
    """
    kind, _, size = name.partition(":")
    if kind in (SHIPPED, IMAGENET, RANDOM):
        return f"{kind} backbone" + (f", {size} px" if size else "")
    return Path(name).name


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
    metadata = check_file(path)
    try:
        spec = InputSpec(int(metadata["size"]), float(metadata["crop"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidModelError(
            f"{path.with_suffix('.json')}: size and crop of the input are missing or wrong "
            f"({error}); fetch the weights and their JSON file again."
        ) from error
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
        tensors = read_tensors(weights.file)
        if read_metadata(weights.file)["sha256"] != weights.sha256:
            raise InvalidModelError(
                f"{weights.file} has changed since it was chosen; choose it again."
            )
        assign_weights(backbone, tensors, source=str(weights.file))
    return backbone


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
