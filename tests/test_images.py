"""Reading pictures of every kind, and refusing what is none."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from agegender.errors import InvalidImageError
from agegender.images import MAX_PIXELS, picture_suffixes, read_image

ORIENTATION_TAG = 0x0112


def gradient(height: int = 32, width: int = 48) -> np.ndarray:
    """A smooth picture, dark and red on the left, bright on the lower right."""
    across = np.linspace(0, 255, width)[None, :].repeat(height, axis=0)
    down = np.linspace(0, 255, height)[:, None].repeat(width, axis=1)
    return np.stack([200 - across / 2, across, down], axis=-1).astype(np.uint8)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_exact_formats_give_their_pixels(kind: str) -> None:
    pixels = gradient()
    assert np.array_equal(read_image(encode(Image.fromarray(pixels), kind)), pixels)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "HEIF", "AVIF", "JPEG2000"])
def test_lossy_formats_give_nearly_their_pixels(kind: str) -> None:
    pixels = gradient()
    read = read_image(encode(Image.fromarray(pixels), kind, quality=95))
    assert read.shape == pixels.shape
    assert np.abs(read.astype(int) - pixels).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    upright = gradient()
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, 3),
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    data = encode(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif)
    assert np.array_equal(read_image(data), upright)


def test_broken_exif_does_not_refuse_the_picture() -> None:
    data = encode(Image.fromarray(gradient()), "WEBP", lossless=True, exif=b"Exif\0\0nonsense")
    assert np.array_equal(read_image(data), gradient())


def test_a_picture_is_turned_though_other_notes_are_broken() -> None:
    """Orientation 6, and a resolution that is text."""
    entries = struct.pack("<HHII", ORIENTATION_TAG, 3, 1, 6) + struct.pack("<HHI", 0x011A, 2, 4)
    notes = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + entries + b"abc\0" + bytes(4)
    data = encode(Image.fromarray(gradient()), "PNG", exif=notes)
    assert np.array_equal(read_image(data), np.rot90(gradient(), -1))


def test_transparency_is_laid_on_white() -> None:
    pixels = np.dstack([gradient(), np.zeros((32, 48), np.uint8)])
    pixels[:, :24, 3] = 255
    read = read_image(encode(Image.fromarray(pixels), "PNG"))
    assert np.array_equal(read[:, :24], gradient()[:, :24])
    assert (read[:, 24:] == 255).all()


def test_transparent_palette_is_laid_on_white() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.putpixel((0, 0), 0)
    read = read_image(encode(image, "PNG", transparency=0))
    assert read[0, 0].tolist() == [255, 255, 255]
    assert read[1, 1].tolist() == [10, 20, 30]


def test_cmyk_becomes_rgb() -> None:
    read = read_image(encode(Image.new("CMYK", (8, 8), (255, 0, 255, 0)), "JPEG", quality=95))
    assert read.shape == (8, 8, 3)
    red, green, blue = read.mean(axis=(0, 1))
    assert green > 200 > 60 > max(red, blue)


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_grey_becomes_three_equal_channels(mode: str) -> None:
    image = Image.fromarray(np.full((6, 6), 255, np.uint8)).convert(mode)
    read = read_image(encode(image, "PNG"))
    assert read.shape == (6, 6, 3)
    assert (read == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("brightest", [200, 4000, 65535])
def test_16_bit_grey_keeps_its_darkness(kind: str, brightest: int) -> None:
    grey = np.linspace(0, brightest, 64 * 64).reshape(64, 64).astype(np.uint16)
    read = read_image(encode(Image.fromarray(grey), kind))
    assert np.abs(read[..., 0] - grey / 257).max() <= 0.5
    assert (read[..., 0] == read[..., 2]).all()


def test_16_bit_pgm_keeps_its_darkness() -> None:
    grey = np.full((4, 4), 4000, ">u2")
    assert np.unique(read_image(b"P5 4 4 65535\n" + grey.tobytes())).tolist() == [16]


def test_16_bit_colour_keeps_its_darkness() -> None:
    deep = (gradient().astype(np.uint16) * 257) // 8
    encoded, data = cv2.imencode(".png", deep[..., ::-1])
    assert encoded
    assert np.abs(read_image(data.tobytes()) - gradient() / 8.0).max() <= 1


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_floating_point_tiff_is_scaled_by_its_range(white: float) -> None:
    grey = np.linspace(0, white, 256, dtype=np.float32).reshape(16, 16)
    grey[0, 0] = np.nan
    read = read_image(encode(Image.fromarray(grey), "TIFF"))
    assert read[-1, -1].tolist() == [255] * 3
    assert read[8, 0, 0] == pytest.approx(128, abs=1)
    assert read[0, 0].tolist() == [0] * 3


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read_image(data)[0, 0].tolist() == [255, 0, 0]


def test_one_pixel() -> None:
    assert read_image(encode(Image.new("RGB", (1, 1), "red"), "PNG")).tolist() == [[[255, 0, 0]]]


def test_file_and_bytes_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a face.png"
    path.write_bytes(encode(Image.fromarray(gradient()), "PNG"))
    assert np.array_equal(read_image(path), read_image(path.read_bytes()))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"])
def test_truncated_picture_is_refused(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), kind)
    with pytest.raises(InvalidImageError, match=r"^cut\.jpg: "):
        read_image(data[: len(data) // 2], name="cut.jpg")


@pytest.mark.parametrize("data", [b"I am no picture.", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_other_files_are_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "text.jpg"
    path.write_bytes(data)
    with pytest.raises(InvalidImageError, match=r"^text\.jpg: not a picture of a known format"):
        read_image(path)


def test_empty_file_is_called_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    with pytest.raises(InvalidImageError, match=r"^empty\.jpg: the file is empty"):
        read_image(path)
    with pytest.raises(InvalidImageError, match="the file is empty"):
        read_image(b"")


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidImageError, match="no such file"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(InvalidImageError, match="cannot be opened"):
        read_image(tmp_path)


def png_without_pixels(width: int, height: int) -> bytes:
    """A grey PNG that has a header and an end, and nothing between."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (header, b"IDAT" + zlib.compress(b""), b"IEND")
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_links_in_a_circle_and_long_names_are_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "a.png")
    for path in (tmp_path / "a.png", tmp_path / ("x" * 300 + ".png")):
        with pytest.raises(InvalidImageError, match="cannot be opened"):
            read_image(path)


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (13_000, 10_000)])
def test_too_many_pixels_are_refused_before_decoding(width: int, height: int) -> None:
    with pytest.raises(InvalidImageError, match="120 megapixels"):
        read_image(png_without_pixels(width, height))


def test_pictures_below_the_limit_are_decoded_without_a_warning() -> None:
    """Pillow's own limit would warn, which fails tests, at three quarters of ours."""
    with pytest.raises(InvalidImageError, match="damaged or cut short"):
        read_image(png_without_pixels(11_000, MAX_PIXELS // 11_000))


def test_damaged_bytes_never_raise_anything_else() -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(gradient())
    for kind in ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "GIF", "BMP"):
        whole = encode(image, kind)
        for _ in range(60):
            data = bytearray(whole)
            for place in rng.integers(0, len(data), 3):
                data[place] = rng.integers(256)
            try:
                assert read_image(bytes(data)).ndim == 3
            except InvalidImageError:
                continue


def test_picture_suffixes() -> None:
    assert {".jpg", ".jpeg", ".png", ".webp", ".heic", ".mpo", ".gif"} <= picture_suffixes()
    assert not {".eps", ".pdf", ".txt", ".zip"} & picture_suffixes()
