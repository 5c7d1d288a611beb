"""Made-up predictions for the tests of the evaluation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agegender.dataset.dataset import Dataset, open_dataset
from agegender.dataset.synthetic import draw_demo_faces
from agegender.training.config import TrainConfig
from agegender.training.run import Run
from agegender.training.runs import create_run
from agegender.training.trainer import train


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace with demo faces and one finished run on a random backbone."""
    home = tmp_path_factory.mktemp("evaluation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGEGENDER_HOME", str(home))
        faces = draw_demo_faces(home / "demo-faces", count=60)
        run = create_run(TrainConfig(str(faces), backbone="random:32", epochs=2))
        train(run)
        assert run.state.status == "finished"
    return home


@pytest.fixture
def trained(
    trained_home: Path, monkeypatch: pytest.MonkeyPatch, workspace: Path
) -> tuple[Run, Dataset]:
    """Return a finished run and its demo faces, in their own workspace."""
    monkeypatch.setenv("AGEGENDER_HOME", str(trained_home))
    (folder,) = (path for path in (trained_home / "runs").iterdir() if path.name[0] != ".")
    for kept in (*folder.glob("predictions-*"), *folder.glob("test-reads.jsonl")):
        kept.unlink()
    return Run(folder), open_dataset(trained_home / "demo-faces")


@pytest.fixture
def make_predictions() -> Callable[..., pd.DataFrame]:
    """Return a function that makes up predictions with some skill."""

    def make(count: int = 400, *, seed: int = 0) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        age, gender = rng.integers(1, 100, count), rng.integers(0, 2, count)
        p_female = 1 / (1 + np.exp(-3 * (2 * gender - 1) - rng.normal(0, 2, count)))
        return pd.DataFrame(
            {
                "file": [f"{number}.jpg" for number in range(count)],
                "sha256": [f"{number:064x}" for number in range(count)],
                "split": "test",
                "age": age,
                "gender": gender,
                "race": rng.integers(0, 5, count),
                "age_pred": np.maximum(0, age + rng.normal(1, 6, count)).astype(np.float32),
                "p_female": p_female.astype(np.float32),
                "gender_pred": (p_female >= 0.5).astype(np.int64),
            }
        )

    return make
