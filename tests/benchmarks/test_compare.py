"""The benchmark against other tools, without the other tools."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agegender.config import FRAME_SIZE
from agegender.dataset.dataset import open_dataset
from agegender.evaluation.metrics import compute_metrics
from benchmarks import compare
from benchmarks.peers import Peer, PeerError, ask

FAKE_PEER = """
import json, sys
side, crop = int(sys.argv[1]), sys.argv[2]
while face := sys.stdin.buffer.read(side * side * 3):
    if face[0] == 255:
        sys.exit("the network burst")
    reply = {"age": face[0] * float(crop), "gender": "female", "p_female": 0.75, "ms": 2.0}
    print(json.dumps(reply), flush=True)
"""


def uniform(value: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.full((FRAME_SIZE, FRAME_SIZE, 3), value, np.uint8)


@pytest.fixture
def fake_peer(tmp_path: Path) -> Peer:
    """Return a peer whose age is the first byte of a face times the crop."""
    program = tmp_path / "peer.py"
    program.write_text(FAKE_PEER)

    def install(folder: Path) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        return [sys.executable, str(program)]

    return Peer("fake 1.0", "a test", install)


def test_peer_answers_each_face_in_order(fake_peer: Peer) -> None:
    command = fake_peer.install(fake_peer.folder)
    answers = ask(fake_peer, command, [uniform(40), uniform(10)], 0.5)
    assert [answer["age"] for answer in answers] == [20, 5]


def test_peer_that_stops_gives_its_last_words(fake_peer: Peer) -> None:
    command = fake_peer.install(fake_peer.folder)
    with pytest.raises(PeerError, match="after 1 faces: the network burst"):
        ask(fake_peer, command, [uniform(40), uniform(255), uniform(40)], 1.0)


def test_answers_become_predictions_beside_their_own_labels() -> None:
    faces = pd.DataFrame(
        {"file": ["b", "a"], "age": [30, 40], "gender": [1, 0], "race": [0, 1]}, index=[7, 3]
    )
    answers = [
        {"age": 31, "gender": "female", "p_female": 0.9, "ms": 1.0},
        {"age": 42, "gender": "male", "p_female": 0.5, "ms": 1.0},
    ]
    predictions = compare.with_answers(faces, answers)
    assert compute_metrics(predictions)["age"]["mae"] == 1.5
    assert predictions["gender_pred"].tolist() == [1, 0]


def test_each_answer_gets_the_crop_that_suits_it() -> None:
    trials = {
        1.0: {"age": {"mae": 6.0}, "gender": {"accuracy": 0.93}},
        0.8: {"age": {"mae": 5.0}, "gender": {"accuracy": 0.91}},
    }
    assert compare.best_crops(trials) == (0.8, 1.0)
    assert compare.describe_crops(0.8, 1.0) == "box: central 80% for age, whole chip for gender"


def test_peer_is_measured_on_the_faces_given(
    fake_peer: Peer, make_faces: Callable[..., Path]
) -> None:
    dataset = open_dataset(make_faces(60))
    faces = dataset.of("train")
    row = compare.run_peer(fake_peer, dataset, faces)
    assert row["metrics"]["n"] == len(faces)
    assert row["metrics"]["gender"]["recall"] == {"male": 0.0, "female": 1.0}
    assert row["ms_per_face"] == 2.0
    assert set(row["validation"]) == {f"{crop:g}" for crop in compare.CROPS}


def test_command_names_the_reason_of_each_tool_that_cannot_run(
    make_faces: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(folder: Path) -> list[str]:
        raise PeerError("Node and npm are not installed")

    monkeypatch.setattr(compare, "PEERS", (Peer("other 1.0", "a test", refuse),))
    monkeypatch.setattr(compare, "shipped_run", lambda: None)
    monkeypatch.setattr(compare, "SPLIT", "train")
    output = tmp_path / "out"
    arguments = ["--dataset", str(make_faces(60)), "--output", str(output)]
    assert compare.main(arguments) == 0
    table = capsys.readouterr().out
    assert "not run: no model ships with this version" in table
    assert "not run: Node and npm are not installed" in table
    assert (output / "peers.md").read_text(encoding="utf-8").strip() == table.strip()
    assert (output / "peers.json").exists()


def test_command_refuses_a_missing_dataset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare.main(["--dataset", str(tmp_path / "nowhere")]) == 1
    assert "error: " in capsys.readouterr().err


def test_table_shows_intervals_and_marks_what_is_missing() -> None:
    predictions = pd.DataFrame(
        {
            "age": [20, 30, 60] * 4,
            "gender": [0, 1, 1] * 4,
            "race": [0, 0, 1] * 4,
            "age_pred": [22.0, 30.0, 64.0] * 4,
            "p_female": [0.1, 0.9, 0.2] * 4,
            "gender_pred": [0, 1, 0] * 4,
        }
    )
    row = compare.measured("tool 1", "note", predictions, [900.0] * 20 + [12.0, 14.0])
    last = compare.markdown_table([row]).splitlines()[-1]
    cells = [cell.strip() for cell in last.strip("|").split("|")]
    assert cells[0] == "tool 1"
    assert cells[1].startswith("2.00 [")
    assert cells[2].startswith("66.7% [")
    # No face of 12 years or less; the first, cold 20 faces do not count as time.
    assert cells[4:] == ["-", "4.00", "13", "12", "note"]


def test_own_model_is_timed_on_the_faces_it_is_measured_on(
    make_faces: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_dataset(make_faces(60))
    shown = []

    class FakePredictor:
        def predict(self, images: list[Any]) -> None:
            shown.extend(image.shape for image in images)

    def predict_right(run: Any, dataset: Any, split: str, *, limit: int | None) -> pd.DataFrame:
        faces = dataset.of(split)[:limit]
        return faces.assign(age_pred=faces["age"], p_female=0.5, gender_pred=faces["gender"])

    monkeypatch.setattr(compare, "shipped_run", object)
    monkeypatch.setattr(compare, "SPLIT", "train")
    monkeypatch.setattr(compare, "predict_faces", predict_right)
    monkeypatch.setattr(compare, "load_predictor", lambda run: FakePredictor())
    row, faces = compare.run_own(dataset, 25)
    assert len(faces) == row["metrics"]["n"] == 25
    assert row["metrics"]["gender"]["accuracy"] == 1.0
    assert shown == [(FRAME_SIZE, FRAME_SIZE, 3)] * 25
