"""Reading any common picture file into RGB pixels, and encoding pixels."""

from __future__ import annotations

import errno
import io
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pillow_heif
from PIL import Image, UnidentifiedImageError

from agegender.errors import InvalidImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PIXELS = 120_000_000
"""Larger pictures are refused before they are decoded: they would fill the memory."""

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "GIF", "TIFF", "BMP", "DIB", "JPEG2000", "PPM")
"""Pillow's names of the formats that are read. The others that it knows are not
what people keep photos in, and PostScript would be run as a program."""

JPEG_QUALITY = 90

_ORIENTATION_TAG = 0x0112

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a picture upright, by its EXIF orientation. `ImageOps.exif_transpose` writes the
other notes back as well, and fails where they are broken."""

# What the decoders raise on damaged files (found with thousands of them).
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, struct.error, zlib.error)

pillow_heif.register_heif_opener()
# Pillow would warn from its own limit on, in words of its own; `_check_size` refuses anyway.
Image.MAX_IMAGE_PIXELS = None


def read_image(source: Path | bytes, *, name: str | None = None) -> NDArray[np.uint8]:
    """Read a picture as RGB, turned upright by its EXIF orientation.

    Args:
        source: A file, or the bytes of one, in any of `FORMATS`; grey, palette,
            CMYK, 16-bit and transparent pictures (laid on white) included. Of an
            animation, the first frame.
        name: What to call the picture in an error message; the file's name
            by default.

    Returns:
        RGB pixels, uint8, shape (height, width, 3), possibly read-only.

    Raises:
        InvalidImageError: If it is not a picture, is damaged or too large.
    """
    if name is None:
        name = source.name if isinstance(source, Path) else "the picture"
    # Pillow loads its plugins when it first needs them, unless formats are named.
    Image.init()
    try:
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with Image.open(file, formats=FORMATS) as image:
            _check_size(image, name)
            return _to_rgb(image)
    except UnidentifiedImageError as error:
        if _is_empty(source):
            raise InvalidImageError(f"{name}: the file is empty; choose another.") from error
        raise InvalidImageError(
            f"{name}: not a picture of a known format; use a JPEG or PNG file."
        ) from error
    except FileNotFoundError as error:
        raise InvalidImageError(f"{name}: there is no such file; check the path.") from error
    except (PermissionError, IsADirectoryError) as error:
        raise _cannot_open(name, error) from error
    except MemoryError as error:
        raise InvalidImageError(
            f"{name}: needs more memory than there is; make it smaller."
        ) from error
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
            raise _cannot_open(name, error) from error
        raise InvalidImageError(
            f"{name}: the picture is damaged or cut short; use a whole copy of it."
        ) from error


def png_bytes(rgb: NDArray[np.uint8]) -> bytes:
    """Encode a picture as PNG.

    Args:
        rgb: uint8, shape (height, width, 3).
    """
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    return file.getvalue()


def jpeg_bytes(rgb: NDArray[np.uint8], *, quality: int = JPEG_QUALITY) -> bytes:
    """Encode a photo as JPEG, which needs a tenth of PNG's bytes.

    Args:
        rgb: uint8, shape (height, width, 3).
        quality: From 1 to 95.
    """
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality)
    return file.getvalue()


@cache
def picture_suffixes() -> frozenset[str]:
    """Return the file name endings of the formats that are read, as ".jpg"."""
    extensions = {**Image.registered_extensions(), ".mpo": "JPEG"}
    return frozenset(suffix for suffix, known in extensions.items() if known in FORMATS)


def _cannot_open(name: str, error: OSError) -> InvalidImageError:
    return InvalidImageError(
        f"{name}: cannot be opened ({error.strerror}); choose a file that can be read."
    )


def _is_empty(source: Path | bytes) -> bool:
    """Tell whether there is not a single byte."""
    return not (source if isinstance(source, bytes) else source.stat().st_size)


def _check_size(image: Image.Image, name: str) -> None:
    """Refuse a picture by the size that its header gives."""
    if image.width * image.height > MAX_PIXELS:
        raise InvalidImageError(
            f"{name}: {image.width} x {image.height} pixels are too many; "
            f"make it smaller than {MAX_PIXELS // 1_000_000} megapixels."
        )


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Decode an opened picture, whatever its mode, to upright RGB pixels."""
    image.load()
    image = _turn_upright(image)
    if image.mode == "F" or image.mode.startswith("I"):
        return _grey_to_rgb(np.asarray(image))
    if image.has_transparency_data:
        layer = image if image.mode == "RGBA" else image.convert("RGBA")
        image = Image.new("RGB", layer.size, "white")
        image.paste(layer, mask=layer)
    # Converting copies even where there is nothing to convert.
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"), dtype=np.uint8)


def _turn_upright(image: Image.Image) -> Image.Image:
    """Return a decoded picture turned by its EXIF orientation, or itself."""
    try:
        # As text or a list it is broken as well.
        turn = _UPRIGHT.get(int(image.getexif().get(_ORIENTATION_TAG, 1)))
    except (*_DAMAGE, TypeError):
        # Broken notes about a picture are no reason to refuse the picture.
        return image
    return image if turn is None else image.transpose(turn)


def _grey_to_rgb(grey: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale greys of more than 8 bits by what their type can hold.

    Pillow's own conversion clips them at 255. Scaling by the brightest pixel
    would make a dark picture bright.

    Args:
        grey: Shape (height, width); uint16, int32 or float32.
    """
    if grey.dtype == np.uint16:
        # A table needs a fraction of the memory of arithmetic.
        return _rgb(np.rint(np.arange(65536) / 257).astype(np.uint8)[grey])
    values = np.nan_to_num(grey.astype(np.float32), nan=0.0)
    brightest = float(values.max(initial=0.0))
    if grey.dtype.kind == "f":
        # Floating-point pictures have no agreed range: these three are in use.
        white = next((top for top in (1.0, 255.0, 65535.0) if brightest <= top), brightest)
    else:
        # Pillow gives some 16-bit files as 32-bit numbers.
        white = 65535.0 if brightest <= 65535 else float(np.iinfo(np.int32).max)
    return _rgb((values * (255.0 / white)).clip(0, 255).round().astype(np.uint8))


def _rgb(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(grey[..., None], 3, axis=2)
