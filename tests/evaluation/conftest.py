"""Made-up predictions for the tests of the evaluation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest


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
