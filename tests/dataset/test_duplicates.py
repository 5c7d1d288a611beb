"""Which pictures show the same photo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd
import pytest

from agegender.dataset.drawing.face import draw_face
from agegender.dataset.duplicates import (
    CANDIDATE_BITS,
    SURE_BITS,
    detail_correlation,
    find_duplicates,
    near_matches,
    perceptual_hash,
)
from agegender.dataset.hashing import close_pairs, pack_hashes
from agegender.errors import InvalidImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]


def _face(seed: int = 0) -> Pixels:
    rng = np.random.default_rng(seed)
    return draw_face(20 + seed, seed % 2, seed % 5, rng)


def _recompressed(rgb: Pixels) -> Pixels:
    _, data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 25])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _smaller(rgb: Pixels) -> Pixels:
    return np.asarray(cv2.resize(rgb, (70, 70), interpolation=cv2.INTER_AREA), np.uint8)


def _brighter(rgb: Pixels) -> Pixels:
    return np.asarray((rgb * 0.6 + 70), np.uint8)


def _grey(rgb: Pixels) -> Pixels:
    return np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def _shifted(rgb: Pixels) -> Pixels:
    return np.ascontiguousarray(rgb[3:, 4:])


def _mirrored(rgb: Pixels) -> Pixels:
    return np.ascontiguousarray(rgb[:, ::-1])


CHANGES = (_recompressed, _smaller, _brighter, _grey, _shifted, _mirrored)


def _table(pictures: dict[str, Pixels]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "file": list(pictures),
            "sha256": [name.split("-")[0] for name in pictures],
            "phash": [perceptual_hash(rgb) for rgb in pictures.values()],
        }
    )


def _are_near(a: Pixels, b: Pixels) -> bool:
    pictures = {"a": a, "b": b}
    return bool(find_duplicates(_table(pictures), pictures.__getitem__)[0] >= 0)


def _bits(a: Pixels, b: Pixels) -> int:
    packed = pack_hashes([perceptual_hash(a), perceptual_hash(b)])
    return int(np.bitwise_count(packed[0] ^ packed[1]).sum())


def test_hash_is_256_bits_half_of_them_set() -> None:
    digits = perceptual_hash(_face())
    assert len(digits) == 64
    assert bin(int(digits, 16)).count("1") == 128


def test_hash_is_the_one_that_ships_with_weights() -> None:
    # Hashes are kept beside weights; another rule would not find them again.
    rows, columns = np.mgrid[:200, :200]
    wave = 127 + 60 * np.sin(rows / 9) * np.cos(columns / 14) + 40 * np.sin(columns * rows / 5e3)
    digits = perceptual_hash(np.repeat(wave.astype(np.uint8)[..., None], 3, axis=2))
    expected = pack_hashes(["cc009fff2d555aaa2d554aaaad556d5552aa4abb52aa4aaf52aa4aea52aa4aa5"])
    assert np.bitwise_count(pack_hashes([digits]) ^ expected).sum() <= 6


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_near(change: Callable[[Pixels], Pixels]) -> None:
    face = _face()
    assert _are_near(face, change(face))
    assert _are_near(change(face), face)


def test_other_faces_are_not_near() -> None:
    assert not any(_are_near(_face(0), _face(seed)) for seed in range(1, 12))


def test_detail_tells_a_copy_from_another_face() -> None:
    face = _face(3)
    assert detail_correlation(face, _shifted(face)) > 0.9
    assert detail_correlation(face, _mirrored(face), mirror=True) > 0.99
    assert detail_correlation(face, _face(4)) < 0.9
    assert detail_correlation(face, _face(4)) == pytest.approx(detail_correlation(_face(4), face))
    assert detail_correlation(face, np.full_like(face, 90)) == 0


def test_groups_copies_and_leaves_others_alone() -> None:
    faces = {f"{seed}": _face(seed) for seed in range(4)}
    pictures = {
        "0": faces["0"],
        "1": faces["1"],
        "2": faces["2"],
        "2-again": faces["2"],
        "30": _recompressed(faces["0"]),
        "31": _mirrored(_recompressed(faces["0"])),
        "3": faces["3"],
    }
    groups = find_duplicates(_table(pictures), pictures.__getitem__)
    assert groups.tolist() == [0, -1, 1, 1, 0, 0, -1]


def test_pixels_decide_where_hashes_cannot() -> None:
    face, other = _face(0), _face(1)
    table = _table({"0": face, "1": other})
    # A hash between the sure and the hopeless.
    undecided = np.packbits(np.arange(256) % 5 == 0)
    digits = (pack_hashes([perceptual_hash(face)]).view(np.uint8)[0] ^ undecided).tobytes().hex()
    table.loc[1, "phash"] = digits
    bits = int(np.unpackbits(undecided).sum())
    assert SURE_BITS < bits <= CANDIDATE_BITS
    assert close_pairs(pack_hashes(table["phash"].tolist()), None, CANDIDATE_BITS, 0).rows.size
    calls: list[tuple[int, int]] = []
    same = find_duplicates(table, lambda file: face, on_progress=lambda *c: calls.append(c))
    assert same.tolist() == [0, 0]
    assert calls == [(1, 1)]
    read = {"0": face, "1": other}
    assert find_duplicates(table, read.__getitem__).tolist() == [-1, -1]

    def refuse(file: str) -> Pixels:
        raise InvalidImageError(f"{file}: gone")

    assert find_duplicates(table, refuse).tolist() == [-1, -1]


def test_flat_pictures_are_copies_only_byte_by_byte() -> None:
    flat = {str(n): np.full((50, 50, 3), 40 * n, np.uint8) for n in range(1, 4)}
    flat["1-again"] = flat["1"]
    assert find_duplicates(_table(flat), flat.__getitem__).tolist() == [0, -1, -1, 0]


def test_no_faces_have_no_groups() -> None:
    assert find_duplicates(_table({}).astype("str"), lambda file: _face()).tolist() == []


def test_near_matches_needs_hashes_only() -> None:
    ours = [perceptual_hash(_face(seed)) for seed in range(6)]
    theirs = [
        perceptual_hash(rgb)
        for rgb in (_face(20), _recompressed(_face(4)), _mirrored(_face(1)), _face(21))
    ]
    assert near_matches(ours, theirs).tolist() == [[1, 2], [4, 1]]
    assert near_matches([], theirs).shape == (0, 2)


def test_real_faces_are_rarely_near(real_dataset_archive: Path) -> None:
    """Of 400 real faces, none but true copies match: the rule does not chain them."""
    import tarfile

    from agegender.images import read_image

    pictures: dict[str, Pixels] = {}
    with tarfile.open(real_dataset_archive) as archive:
        for member in archive:
            if not member.isfile():
                continue
            file = archive.extractfile(member)
            assert file is not None
            pictures[str(len(pictures))] = read_image(file.read())
            if len(pictures) == 400:
                break
    groups = find_duplicates(_table(pictures), pictures.__getitem__)
    sizes = np.bincount(groups[groups >= 0], minlength=1)
    assert sizes.max() <= 5
    assert (groups >= 0).mean() < 0.3
    brighter = [perceptual_hash(_brighter(_recompressed(rgb))) for rgb in pictures.values()]
    found = near_matches([perceptual_hash(rgb) for rgb in pictures.values()], brighter)
    assert set(found[:, 0]) == set(range(400))
