"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# Set before TensorFlow is imported by any test.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# Two workers share the cores: more threads in each only wait for one another.
for threads in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

SHARED_DATA = Path(
    os.environ.get("AGEGENDER_SHARED_DATA")
    or Path(__file__).resolve().parents[2] / "shared" / "data"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest test first: last, it would leave one of the two workers idle."""
    items.sort(key=lambda item: item.path.name != "test_journey.py")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test its own workspace, so that none sees the user's."""
    folder = tmp_path / "workspace"
    monkeypatch.setenv("AGEGENDER_HOME", str(folder))
    monkeypatch.setenv("AGEGENDER_DATASET", str(tmp_path / "UTKFace"))
    return folder


@pytest.fixture(autouse=True)
def without_shipped_weights(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hide the shipped weights, so that a test knows which models there are.

    Tests of the shipped weights themselves are marked `shipped`.
    """
    if "shipped" in request.keywords:
        return
    nothing = tmp_path / "nothing-shipped"
    monkeypatch.setattr("agegender.model.weights.SHIPPED_FILE", nothing / "backbone.safetensors")
    monkeypatch.setattr("agegender.training.run.SHIPPED_DIR", nothing)
    monkeypatch.setattr("agegender.training.runs.SHIPPED_DIR", nothing)


@pytest.fixture(scope="session")
def real_dataset_archive() -> Path:
    """Return the real UTKFace archive, or skip."""
    archive = SHARED_DATA / "UTKFace.tar.gz"
    if not archive.exists():
        pytest.skip(f"needs real faces: {archive} is not there (set AGEGENDER_SHARED_DATA)")
    return archive


@pytest.fixture(scope="session")
def real_photos() -> Path:
    """Return the folder of real portraits, or skip."""
    folder = SHARED_DATA / "photos"
    if not folder.exists():
        pytest.skip(f"needs real portraits: {folder} is not there (set AGEGENDER_SHARED_DATA)")
    return folder


@pytest.fixture
def make_faces(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a small folder of noise "faces" in UTKFace's layout.

    Every picture is different, and its brightness and colour follow its labels,
    so that even a random network can tell them apart.
    """

    def make(count: int = 40, *, name: str = "UTKFace", size: int = 64, seed: int = 0) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        for number in range(count):
            age, gender, race = int(rng.integers(1, 90)), int(rng.integers(2)), number % 5
            coarse = rng.integers(0, 256, (8, 8, 3)).astype(np.float64) * 0.5
            coarse += age
            coarse[..., gender] += 40
            pixels = Image.fromarray(coarse.clip(0, 255).astype(np.uint8)).resize((size, size))
            pixels.save(folder / f"{age}_{gender}_{race}_2017{seed:04d}{number:09d}.jpg.chip.jpg")
        return folder

    return make
