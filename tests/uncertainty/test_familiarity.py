from __future__ import annotations

import numpy as np
import pytest

from agegender.uncertainty.familiarity import fit_familiarity, measure_strangeness


def faces(count: int, seed: int) -> np.ndarray:
    """Make features near a subspace of ten dimensions."""
    basis = np.random.default_rng(42).normal(size=(10, 2048))
    rng = np.random.default_rng(seed)
    near = rng.normal(size=(count, 10)) @ basis + 20 * basis[0]
    return (near + rng.normal(0, 0.3, (count, 2048))).astype(np.float32)


def test_ordinary_faces_are_seldom_flagged_and_strange_ones_are() -> None:
    familiarity = fit_familiarity(faces(600, 0), faces(400, 1), seed=0)
    assert familiarity is not None
    assert familiarity.is_unfamiliar(faces(1500, 2)).mean() == pytest.approx(0.01, abs=0.012)
    strange = np.random.default_rng(3).normal(0, 10, (50, 2048)).astype(np.float32)
    assert familiarity.is_unfamiliar(strange).all()
    assert familiarity.is_unfamiliar(np.zeros((1, 2048), np.float32)).all()


def test_strangeness_is_the_sine_of_the_angle() -> None:
    plane = np.eye(3, 2, dtype=np.float32)
    looks = np.array([[5, 0, 0], [0, 3, 4], [0, 0, 2]], np.float32)
    assert measure_strangeness(looks, plane) == pytest.approx([0, 0.8, 1])


def test_too_few_faces_cannot_tell_one_in_a_hundred() -> None:
    assert fit_familiarity(faces(100, 0), faces(98, 1), seed=0) is None
