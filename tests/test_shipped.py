"""The weights and the run that travel with the package, as they are."""

from __future__ import annotations

import json

import numpy as np
import pytest

from agegender.config import SHIPPED_DIR
from agegender.dataset.synthetic import draw_face
from agegender.model.weights import SHIPPED_FILE, default_weights, find_weights, read_weights
from agegender.prediction.predictor import load_predictor
from agegender.training.runs import default_run

pytestmark = pytest.mark.shipped


def test_shipped_weights_are_whole_small_and_the_default() -> None:
    assert default_weights() == "shipped"
    weights = find_weights("shipped")
    assert weights.has_skill
    assert SHIPPED_FILE.stat().st_size <= 50_000_000
    tensors = read_weights(SHIPPED_FILE)
    assert sum(values.size for values in tensors.values()) == 23_587_712
    variances = [values for name, values in tensors.items() if name.endswith("moving_variance")]
    assert variances
    assert all((values > 0).all() for values in variances)


def test_list_of_seen_faces_has_a_row_for_each_train_face() -> None:
    description = json.loads(SHIPPED_FILE.with_suffix(".json").read_text())
    seen = np.load(SHIPPED_DIR / "seen.npy", allow_pickle=False)
    assert len(seen) == sum(description["train_faces"].values())


@pytest.mark.slow
def test_a_first_start_has_a_model_that_answers() -> None:
    run = default_run()
    assert run.id == "shipped"
    rng = np.random.default_rng(0)
    baby, elder = load_predictor(run).predict([draw_face(age, 0, 0, rng) for age in (1, 80)])
    for prediction in (baby, elder):
        assert 0 <= prediction.age <= 116
        assert 0.5 <= prediction.confidence <= 1
