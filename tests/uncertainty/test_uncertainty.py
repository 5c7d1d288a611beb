"""What is known about the answers survives the disk, and damage is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from agegender.errors import InvalidModelError, ModelNotFoundError
from agegender.model.answer import Answers
from agegender.model.tensors import save_tensors
from agegender.uncertainty.uncertainty import (
    AnsweredFaces,
    Uncertainty,
    fit_uncertainty,
    load_uncertainty,
    save_uncertainty,
)


def faces(count: int, seed: int) -> AnsweredFaces:
    rng = np.random.default_rng(seed)
    age = rng.uniform(0, 90, count).astype(np.float32)
    features = rng.normal(1, 0.2, (count, 2048)).astype(np.float32)
    p_female = rng.uniform(0, 1, count).astype(np.float32)
    answers = Answers(age, p_female, rng.uniform(0, 3, count).astype(np.float32), features)
    true_ages = (age + rng.normal(0, 5, count)).astype(np.float32)
    return AnsweredFaces(answers, true_ages, (rng.uniform(size=count) < p_female).astype(np.int64))


@pytest.fixture(scope="module")
def fitted() -> Uncertainty:
    return fit_uncertainty(faces(200, 0).answers.features, faces(150, 1), faces(150, 2), seed=0)


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    path = tmp_path / "heads.safetensors"
    save_tensors({"kernel": np.zeros(3, np.float32)}, path, {})
    return path


@pytest.fixture
def saved(fitted: Uncertainty, heads: Path, tmp_path: Path) -> Path:
    path = tmp_path / "uncertainty.safetensors"
    save_uncertainty(fitted, path, heads=heads, selection=150, calibration=150)
    return path


def test_what_is_read_assesses_as_what_was_written(
    fitted: Uncertainty, heads: Path, saved: Path
) -> None:
    answers = faces(300, 3).answers
    before, after = fitted.assess(answers), load_uncertainty(saved, heads=heads).assess(answers)
    assert before.age_low is not None
    assert after.age_low is not None
    np.testing.assert_allclose(after.age_low, before.age_low, atol=1e-3)
    np.testing.assert_allclose(after.age_high, before.age_high, atol=1e-3)
    np.testing.assert_allclose(after.p_female, before.p_female, atol=1e-5)
    assert before.unfamiliar is not None
    assert np.array_equal(after.unfamiliar, before.unfamiliar)
    about = json.loads(saved.with_suffix(".json").read_text())
    assert (about["selection_faces"], about["calibration_faces"]) == (150, 150)
    assert saved.stat().st_size < 400_000


def test_too_few_faces_are_admitted(heads: Path, tmp_path: Path) -> None:
    few = fit_uncertainty(faces(20, 0).answers.features, faces(5, 1), faces(4, 2), seed=0)
    path = tmp_path / "few.safetensors"
    save_uncertainty(few, path, heads=heads, selection=5, calibration=4)
    answers = faces(3, 3).answers
    assessed = load_uncertainty(path, heads=heads).assess(answers)
    assert assessed.age_low is None
    assert assessed.age_high is None
    assert assessed.unfamiliar is None
    assert assessed.p_female == pytest.approx(answers.p_female, abs=1e-6)


def test_damage_is_refused_with_a_sentence(heads: Path, saved: Path) -> None:
    whole = saved.read_bytes()
    for damaged, sentence in (
        (whole[:-100], "cut short"),
        (whole[:-1] + bytes([whole[-1] ^ 1]), "should have"),
    ):
        saved.write_bytes(damaged)
        with pytest.raises(InvalidModelError, match=sentence):
            load_uncertainty(saved, heads=heads)
    saved.unlink()
    with pytest.raises(ModelNotFoundError, match="cannot be read"):
        load_uncertainty(saved, heads=heads)


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("age.low", np.zeros(3, np.float32), "low has shape"),
        ("age.factor", np.array([np.nan], np.float32), "no number"),
        ("gender.temperature", np.array([0], np.float32), "temperature is 0"),
        ("familiarity.directions", np.zeros((3, 3), np.float32), "directions have shape"),
        ("familiarity.threshold", None, "familiarity.threshold"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(
    name: str, values: np.ndarray | None, sentence: str, heads: Path, saved: Path
) -> None:
    tensors = load_file(saved)
    if values is None:
        del tensors[name]
    else:
        tensors[name] = values
    about = json.loads(saved.with_suffix(".json").read_text())
    save_tensors(tensors, saved, {"heads_sha256": about["heads_sha256"]})
    with pytest.raises(InvalidModelError, match=sentence):
        load_uncertainty(saved, heads=heads)


def test_numbers_of_other_heads_are_refused(heads: Path, saved: Path) -> None:
    save_tensors({"kernel": np.ones(3, np.float32)}, heads, {})
    with pytest.raises(InvalidModelError, match="belongs to other heads"):
        load_uncertainty(saved, heads=heads)
