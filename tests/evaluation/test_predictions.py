from __future__ import annotations

import dataclasses
import errno
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agegender.config import MAX_AGE_YEARS
from agegender.dataset.dataset import Dataset
from agegender.dataset.split import is_copy
from agegender.errors import DatasetError, ModelNotFoundError, StorageError
from agegender.evaluation import predictions as module
from agegender.evaluation.evaluated_faces import LeftOut, count_left_out, find_seen, select_faces
from agegender.evaluation.looks import read_looks
from agegender.evaluation.predictions import (
    COLUMNS,
    predict_faces,
)
from agegender.images import read_image
from agegender.model.tensors import save_weights
from agegender.model.weights import load_backbone
from agegender.prediction.predictor import load_predictor
from agegender.training.features import load_features
from agegender.training.run import Run
from agegender.training.seen import write_seen
from agegender.uncertainty.familiarity import Familiarity, measure_strangeness
from agegender.uncertainty.intervals import AgeIntervals
from agegender.uncertainty.uncertainty import Uncertainty, save_uncertainty


def make_sure(run: Run, dataset: Dataset, faces: pd.DataFrame) -> None:
    """Give a run made-up intervals and a temperature, and let it flag half of six faces."""
    features = load_features(dataset.folder, faces, run.weights()).values.mean(axis=1)
    direction = (features[:1] / np.linalg.norm(features[0])).T.astype(np.float16)
    directions = direction.astype(np.float32)
    strangeness = np.sort(measure_strangeness(features, directions))
    low, high = np.random.default_rng(0).normal(0, 0.1, (2, 7))
    low[0], high[0] = -9, 12
    knots, none = np.array([20.0, 40.0]), np.zeros((2048, 0), np.float32)
    intervals = AgeIntervals(knots, none, np.zeros(6), np.ones(6), low, high, 0.1, 10.0)
    familiarity = Familiarity(directions, float(strangeness[2:4].mean()))
    save_uncertainty(
        Uncertainty(2.0, intervals, familiarity),
        run.uncertainty_file,
        heads=run.heads_file,
        selection=1,
        calibration=1,
    )


def test_evaluation_answers_as_prediction_does(trained: Any, tmp_path: Path) -> None:
    plain, dataset = trained
    run = Run(tmp_path / "sure")
    shutil.copytree(plain.folder, run.folder)
    make_sure(run, dataset, select_faces(dataset, "train", limit=6))
    table = predict_faces(run, dataset, "train", limit=6)
    assert tuple(table.columns) == COLUMNS
    pictures = [read_image(dataset.path(file)) for file in table["file"]]
    answers = load_predictor(run).predict(pictures)
    np.testing.assert_allclose(table["age_pred"], [a.age for a in answers], atol=0.02)
    np.testing.assert_allclose(table["p_female"], [a.p_female for a in answers], atol=1e-3)
    np.testing.assert_allclose(table["age_low"], [a.age_low for a in answers], atol=0.05)
    np.testing.assert_allclose(table["age_high"], [a.age_high for a in answers], atol=0.05)
    assert table["unfamiliar"].tolist() == [a.unfamiliar for a in answers]
    assert table["unfamiliar"].sum() == 3
    assert (table["age_low"] < table["age_pred"]).all()
    # Such small heads may answer with ages that there are none of, where intervals end.
    possible = table[table["age_pred"] < MAX_AGE_YEARS]
    assert len(possible)
    assert (possible["age_pred"] < possible["age_high"]).all()
    assert (table["age_pred"] <= table["age_high"]).all()
    assert (table["gender_pred"] == (table["p_female"] >= 0.5)).all()
    unsure = predict_faces(plain, dataset, "train", limit=6)
    assert unsure["age_low"].isna().all()
    assert ((table["p_female"] - 0.5).abs() < (unsure["p_female"] - 0.5).abs()).all()


def test_saved_table_is_used_until_something_changes(
    trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, dataset = trained
    computed = []
    real = module._predict
    monkeypatch.setattr(module, "_predict", lambda *args: computed.append(1) or real(*args))
    first = predict_faces(run, dataset, "validation")
    assert predict_faces(run, dataset, "validation").equals(first)
    assert len(computed) == 1
    # Another label, the same pictures.
    relabelled = dataclasses.replace(dataset, faces=dataset.faces.assign(age=5))
    assert (predict_faces(run, relabelled, "validation")["age"] == 5).all()
    assert len(computed) == 2
    # A damaged table is made anew.
    for path in run.folder.glob("predictions-*.parquet"):
        path.write_bytes(path.read_bytes()[:100])
    assert predict_faces(run, dataset, "validation").equals(first)
    assert len(computed) == 3


def test_faces_that_could_not_be_read_are_counted_and_asked_for_again(
    trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, dataset = trained
    real = module._predict
    with monkeypatch.context() as patch:
        patch.setattr(module, "_predict", lambda *args: real(*args).iloc[2:])
        short = predict_faces(run, dataset, "validation", limit=5)
    assert count_left_out(run, dataset, "validation", short, limit=5).unreadable == 2
    whole = predict_faces(run, dataset, "validation", limit=5)
    assert count_left_out(run, dataset, "validation", whole, limit=5).unreadable == 0


def test_a_face_that_cannot_be_read_leaves_the_others_their_own_answers(trained: Any) -> None:
    run, dataset = trained
    faces = select_faces(dataset, "validation", limit=5)
    whole = module._predict(run, dataset.folder, faces, None)
    broken = faces.copy()
    broken.iloc[2, broken.columns.get_indexer(["file", "sha256"])] = ["gone.jpg", "0" * 64]
    rest = module._predict(run, dataset.folder, broken, None)
    pd.testing.assert_frame_equal(rest, whole.drop(index=2).reset_index(drop=True), rtol=1e-5)


def without_train_faces(run: Run, folder: Path) -> Run:
    """Copy a run as earlier versions left it, without a list of its own."""
    shutil.copytree(run.folder, folder, ignore=shutil.ignore_patterns("train_faces.npy"))
    return Run(folder)


def test_faces_that_the_heads_have_learned_do_not_count(trained: Any) -> None:
    run, dataset = trained
    everything = dataset.of("all")
    assert find_seen(run, everything, "all").tolist() == everything["split"].eq("train").tolist()
    table = predict_faces(run, dataset, "all")
    assert set(table["split"]) == {"validation", "test"}
    left_out = count_left_out(run, dataset, "all", table)
    assert left_out == LeftOut(
        int((everything["split"].eq("train") & ~is_copy(everything)).sum()),
        int(is_copy(everything).sum()),
        0,
    )
    assert left_out.seen + left_out.copies == len(everything) - len(table)
    # As they are in another folder, where the split may be another.
    elsewhere = dataset.of("train").assign(split="test", file="another.jpg")
    assert find_seen(run, elsewhere, "test").all()


def test_a_fine_tuned_backbone_has_seen_its_own_train_faces(trained: Any, tmp_path: Path) -> None:
    run, dataset = trained
    tuned = without_train_faces(run, tmp_path / "tuned")
    tuned.backbone_file.touch()
    everything = dataset.of("all")
    write_seen(everything.iloc[::3], tuned.backbone_file.with_name("seen.npy"))
    seen = find_seen(tuned, everything, "test")
    # Copies of them count as well.
    assert seen[::3].all()
    assert not seen.all()


def test_looks_at_the_test_split_are_logged(trained: Any) -> None:
    run, dataset = trained
    predict_faces(run, dataset, "validation")
    assert read_looks(run) == []
    predict_faces(run, dataset, "test")
    predict_faces(run, dataset, "all")
    count = len(select_faces(dataset, "test"))
    assert [(read.split, read.n) for read in read_looks(run)] == [
        ("test", count),
        ("all", count),
    ]
    with (run.folder / "test-reads.jsonl").open("a") as file:
        file.write('{"when": 1')
    assert len(read_looks(run)) == 2
    # What was cut short by a full disk takes no later look with it.
    predict_faces(run, dataset, "test")
    assert len(read_looks(run)) == 3


def test_limit_is_drawn_by_the_seed(trained: Any) -> None:
    _, dataset = trained
    one, same, other = (select_faces(dataset, "all", limit=10, seed=s) for s in (1, 1, 2))
    assert one.equals(same)
    assert not one["file"].equals(other["file"])
    assert one["file"].is_monotonic_increasing
    # Of the pictures that the demo faces have several times, each counts once.
    every = dataset.of("all")
    chosen = select_faces(dataset, "all", limit=10_000)
    assert len(chosen) < len(every)
    alone = every["duplicate_group"] < 0
    assert len(chosen) == alone.sum() + every.loc[~alone, "duplicate_group"].nunique()


def test_what_cannot_be_evaluated_is_said(trained: Any, tmp_path: Path) -> None:
    run, dataset = trained
    with pytest.raises(ValueError, match="'tests'"):
        select_faces(dataset, "tests")
    with pytest.raises(ValueError, match="limit is 0"):
        select_faces(dataset, "test", limit=0)
    without = dataclasses.replace(dataset, faces=dataset.faces.query("split != 'test'"))
    with pytest.raises(DatasetError, match="split 'test'"):
        predict_faces(run, without, "test")
    gone = dataclasses.replace(
        dataset, folder=tmp_path, faces=dataset.faces.assign(sha256="0" * 64)
    )
    with pytest.raises(DatasetError, match="can be read"):
        predict_faces(run, gone, "validation")
    half = tmp_path / "half"
    shutil.copytree(run.folder, half)
    (half / "heads.safetensors").unlink()
    with pytest.raises(ModelNotFoundError, match="no trained heads"):
        predict_faces(Run(half), dataset, "validation")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_disk_that_refuses_leaves_no_table(
    code: int, trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, dataset = trained

    def refuse(*args: object, **options: object) -> None:
        raise OSError(code, "refused")

    monkeypatch.setattr("agegender.dataset.tables.pq.write_table", refuse)
    with pytest.raises(StorageError):
        predict_faces(run, dataset, "validation")
    assert not list(run.folder.glob("*predictions*"))


def test_shipped_run_is_not_written_to(
    trained: Any, trained_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, dataset = trained
    monkeypatch.setattr(Run, "is_shipped", property(lambda self: True))
    predict_faces(run, dataset, "test")
    assert not list(run.folder.glob("predictions-*"))
    assert len(read_looks(run)) == 1
    shutil.rmtree(trained_home / "shipped-run")


def test_faces_that_the_backbone_has_seen_do_not_count(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, dataset = without_train_faces(trained[0], tmp_path / "old"), trained[1]
    everything = dataset.of("all")
    known = everything.iloc[::3]
    write_seen(known, tmp_path / "seen.npy")
    backbone = tmp_path / "backbone.safetensors"
    monkeypatch.setattr("agegender.training.seen.file_of_project", lambda name: backbone)
    table = predict_faces(run, dataset, "all")
    assert set(table["sha256"]) == set(everything["sha256"]) - set(known["sha256"])
    # Whoever asks for train faces wants to see what was learned.
    assert not find_seen(run, known, "train").any()
    write_seen(everything, tmp_path / "seen.npy")
    with pytest.raises(DatasetError, match="was trained on every face"):
        predict_faces(run, dataset, "test")


def test_fine_tuned_run_is_evaluated_without_the_backbone_that_it_started_from(
    trained: Any, tmp_path: Path
) -> None:
    run, dataset = trained
    tuned = Run(tmp_path / "tuned")
    shutil.copytree(run.folder, tuned.folder)
    save_weights(
        load_backbone(run.weights()),
        tuned.backbone_file,
        metadata={**dataclasses.asdict(run.weights().spec), "has_skill": False},
    )
    description = json.loads((tuned.folder / "heads.json").read_text())
    description["backbone"]["sha256"] = tuned.chosen_weights().sha256
    (tuned.folder / "heads.json").write_text(json.dumps(description))
    gone = dataclasses.replace(run.config, backbone=str(tmp_path / "gone" / "b.safetensors"))
    (tuned.folder / "config.json").write_text(gone.to_json())
    assert len(predict_faces(tuned, dataset, "test", limit=2)) == 2

    tuned.backbone_file.unlink()
    with pytest.raises(ModelNotFoundError, match="no backbone weights"):
        predict_faces(tuned, dataset, "test", limit=2)
