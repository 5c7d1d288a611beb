"""The model in one file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from agegender.errors import InvalidModelError
from agegender.model.preprocessing import InputSpec
from agegender.prediction import export as export_module
from agegender.prediction.export import export_model
from agegender.prediction.predictor import Prediction, Predictor
from agegender.uncertainty.temperature import scale_probability
from agegender.uncertainty.uncertainty import Uncertainty


def test_exported_model_answers_as_the_predictor(
    fake_run: Any, predictor: Predictor, faces: list[np.ndarray], tmp_path: Path
) -> None:
    """Read back in a process that knows Keras and nothing of this project."""
    path = tmp_path / "model.keras"
    export_model(fake_run, path)
    prepared = [predictor.prepare(face) for face in faces[:3]]
    np.save(tmp_path / "faces.npy", np.stack(prepared).astype(np.float32))
    script = (
        "import keras, numpy as np\n"
        "model = keras.models.load_model('model.keras')\n"
        "answers = model(np.load('faces.npy'), training=False)\n"
        "np.savez('answers.npz', **{name: np.asarray(value) for name, value in answers.items()})\n"
    )
    subprocess.run([sys.executable, "-I", "-c", script], cwd=tmp_path, check=True, timeout=200)
    answers = np.load(tmp_path / "answers.npz")
    assert answers["age"].shape == (3, 1)
    assert answers["gender"].shape == (3, 2)
    for number, expected in enumerate(predictor.predict(faces[:3])):
        assert answers["age"][number, 0] == pytest.approx(expected.age, abs=0.01)
        assert answers["gender"][number, 1] == pytest.approx(expected.p_female, abs=1e-4)


def test_export_that_answers_otherwise_is_not_written(predictor: Predictor, tmp_path: Path) -> None:
    def other(faces: np.ndarray, training: bool) -> dict[str, np.ndarray]:
        return {"age": np.full((len(faces), 1), 500.0), "gender": np.full((len(faces), 2), 0.5)}

    with pytest.raises(InvalidModelError, match=r"model\.keras was not written"):
        export_module._check_parity(predictor, other, tmp_path / "model.keras")


def test_export_of_a_calibrated_run_is_compared_as_calibrated(tmp_path: Path) -> None:
    uncertainty = Uncertainty(2.0, None, None)
    calibrated = float(scale_probability(np.array(0.9), uncertainty.temperature))
    stub = SimpleNamespace(
        run=SimpleNamespace(load_uncertainty=lambda: uncertainty),
        spec=InputSpec(32),
        predict_prepared=lambda faces: [Prediction(30.0, calibrated)] * len(faces),
    )

    def exported(p_female: float) -> Any:
        return lambda faces, training: {
            "age": np.full((len(faces), 1), 30.0),
            "gender": np.tile([1 - p_female, p_female], (len(faces), 1)),
        }

    export_module._check_parity(cast(Predictor, stub), exported(0.9), tmp_path / "model.keras")
    with pytest.raises(InvalidModelError, match="was not written"):
        export_module._check_parity(
            cast(Predictor, stub), exported(calibrated), tmp_path / "model.keras"
        )


def test_export_to_another_ending_is_refused(fake_run: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.keras"):
        export_model(fake_run, tmp_path / "model.h5")
