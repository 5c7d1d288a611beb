from __future__ import annotations

import numpy as np
import pytest

from agegender.model.answer import answered_gender
from agegender.uncertainty.temperature import fit_temperature, scale_probability


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_known_temperature_is_found(temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, 20_000)
    truth = (rng.uniform(size=20_000) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    # What a model says that is too sure by this factor.
    said = 1 / (1 + np.exp(-logits * temperature))
    assert fit_temperature(said, truth) == pytest.approx(temperature, rel=0.05)
    known = 1 / (1 + np.exp(-logits))
    assert scale_probability(said, temperature) == pytest.approx(known, abs=5e-3)


def test_no_answer_changes_and_nothing_is_certain() -> None:
    said = np.r_[0.0, 1.0, 0.5, np.nextafter(0.5, 0), np.linspace(0, 1, 1001)].astype(np.float32)
    for temperature in (0.1, 1.0, 10.0):
        scaled = scale_probability(said, temperature)
        assert (answered_gender(scaled) == answered_gender(said)).all()
        assert np.isfinite(scaled).all()


def test_faces_that_are_all_right_do_not_make_it_certain() -> None:
    assert fit_temperature(np.array([0.9, 0.2]), np.array([1, 0])) >= 0.0999
