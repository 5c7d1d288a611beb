"""A run that is nothing but a model, for what predicts with one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agegender.model.architecture import build_model
from agegender.model.preprocessing import InputSpec
from agegender.model.weights import BackboneWeights
from agegender.prediction.predictor import Predictor
from agegender.training.run import Run

SIZE = 32


@dataclass
class FakeRun:
    """What prediction needs of a `Run`."""

    folder: Path
    model: Any
    has_skill: bool = True
    id: str = "fake"

    def weights(self) -> BackboneWeights:
        return BackboneWeights("random", None, "0" * 64, InputSpec(SIZE, 0.8), self.has_skill)

    def load_model(self) -> Any:
        return self.model

    def load_uncertainty(self) -> None:
        return None

    @property
    def changed_ns(self) -> int:
        return Run(self.folder).changed_ns


@pytest.fixture(scope="session")
def random_model() -> Any:
    """The real graph with random weights and answers like those of a trained one."""
    import keras

    keras.utils.set_random_seed(5)
    model = build_model(SIZE)
    faces = np.random.default_rng(0).integers(0, 256, (16, SIZE, SIZE, 3)).astype(np.float32)
    answers = model(faces, training=False)
    ages = np.asarray(answers["age"])
    layer = model.get_layer("age")
    kernel, bias = layer.get_weights()
    scale = 15 / ages.std()
    layer.set_weights([kernel * scale, bias + 40 - ages.mean() * scale])
    return model


@pytest.fixture(scope="session")
def fake_run(random_model: Any, tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    return FakeRun(tmp_path_factory.mktemp("fake-run"), random_model)


@pytest.fixture(scope="session")
def predictor(fake_run: FakeRun) -> Predictor:
    return Predictor(fake_run)


@pytest.fixture(scope="session")
def faces() -> list[np.ndarray]:
    """Forty different pictures of different shapes."""
    rng = np.random.default_rng(7)
    shapes = [(40 + number, 70 - number, 3) for number in range(40)]
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
