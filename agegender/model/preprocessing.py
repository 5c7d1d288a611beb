"""The only path from a picture to the numbers that enter the backbone.

It has two halves. `prepare` turns any RGB picture of a face in UTKFace's frame
into the square of pixels that a model was trained on; `preprocess` is the part
inside the graph, so that an exported model takes plain RGB 0..255. Training,
evaluation, Grad-CAM and prediction all use these two and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from agegender.config import IMAGE_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

PREPROCESSING_VERSION = "center-crop-area-caffe-1"
"""Names the steps below; part of the key of every cached feature."""

CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
"""Per-channel means that `keras.applications.resnet` subtracts ("caffe" mode)."""


@dataclass(frozen=True)
class InputSpec:
    """What a model's input pixels are; stored beside its weights.

    Attributes:
        size: Side of the square input, in pixels.
        crop: Share of the frame's shorter side that is kept around its
            centre, in (0, 1]. UTKFace's chips have more background than a
            small input can afford.
    """

    size: int = IMAGE_SIZE
    crop: float = 1.0

    def __post_init__(self) -> None:
        if self.size < 32:
            raise ValueError(f"size is {self.size}, but ResNet50 needs at least 32 pixels")
        if not 0 < self.crop <= 1:
            raise ValueError(f"crop is {self.crop}, but must be above 0 and at most 1")


def prepare(image: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.uint8]:
    """Cut the centre square out of a face picture and scale it to the input size.

    Args:
        image: RGB pixels, uint8, shape (height, width, 3), a face in
            UTKFace's frame (or a crop that is taken for one).
        spec: The model's input.

    Returns:
        RGB pixels, uint8, shape (spec.size, spec.size, 3). The argument is
        left untouched.
    """
    height, width = image.shape[:2]
    side = max(1, round(spec.crop * min(height, width)))
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    # Averaging over areas is the only one of OpenCV's filters that does not
    # alias when it shrinks; it cannot enlarge smoothly.
    method = cv2.INTER_AREA if side > spec.size else cv2.INTER_LINEAR
    resized = cv2.resize(square, (spec.size, spec.size), interpolation=method)
    return np.asarray(resized, dtype=np.uint8)


def preprocess(rgb: Any) -> Any:
    """Apply ResNet50's own input scaling to a symbolic tensor, in the graph.

    RGB becomes BGR minus `CAFFE_MEAN_BGR`, without scaling, as in
    `keras.applications.resnet.preprocess_input`, but from layers that can be
    saved and exported, and without editing an array in place.

    Args:
        rgb: Keras tensor, float32, shape (batch, size, size, 3), 0..255.

    Returns:
        Keras tensor of the same shape, BGR, mean-free.
    """
    import keras

    bgr = keras.ops.flip(rgb, axis=-1)
    offset = [-mean for mean in CAFFE_MEAN_BGR]
    return keras.layers.Rescaling(1.0, offset=offset, dtype="float32", name="preprocess")(bgr)
