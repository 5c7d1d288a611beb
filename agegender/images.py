"""Reading any common picture file into RGB pixels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pillow_heif
from PIL import Image, ImageOps

from agegender.errors import InvalidImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PIXELS = 120_000_000
"""Larger pictures are refused before they are decoded: they would fill the memory."""

pillow_heif.register_heif_opener()


def read_image(source: Path | bytes, *, name: str | None = None) -> NDArray[np.uint8]:
    """Read a picture as RGB, turned upright by its EXIF orientation.

    Args:
        source: A file, or the bytes of one. JPEG, PNG, WebP, HEIC, GIF (first
            frame), TIFF, BMP and whatever else Pillow opens; grey, palette,
            CMYK, 16-bit and transparent pictures (laid on white) included.
        name: What to call the picture in an error message; the file's name
            by default.

    Returns:
        RGB pixels, uint8, shape (height, width, 3).

    Raises:
        InvalidImageError: If it is not a picture, is damaged or too large.
    """
    if name is None:
        name = source.name if isinstance(source, Path) else "the picture"
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InvalidImageError(
                    f"{name}: {image.width} x {image.height} pixels are too many; "
                    f"make it smaller than {MAX_PIXELS // 1_000_000} megapixels."
                )
            return _to_rgb(image)
    except FileNotFoundError as error:
        raise InvalidImageError(f"{name}: there is no such file; check the path.") from error
    except Image.DecompressionBombError as error:
        raise InvalidImageError(
            f"{name}: far too many pixels; "
            f"make it smaller than {MAX_PIXELS // 1_000_000} megapixels."
        ) from error
    # Pillow's decoders raise any of these on damaged files.
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise InvalidImageError(
            f"{name}: not a picture that can be read ({error}); use a whole JPEG or PNG file."
        ) from error


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Decode an opened picture, whatever its mode, to upright RGB pixels."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        # Pillow clips 16-bit greys instead of scaling them.
        values = np.asarray(upright, dtype=np.float64)
        scale = 255.0 / max(values.max(initial=0.0), 255.0)
        grey = (values * scale).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        background = Image.new("RGBA", layer.size, "white")
        upright = Image.alpha_composite(background, layer)
    return np.asarray(upright.convert("RGB"), dtype=np.uint8)
