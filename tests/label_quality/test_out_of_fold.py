from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from agegender.cli import main
from agegender.config import workspace_dir
from agegender.dataset.dataset import Dataset, open_dataset
from agegender.dataset.exclusion import read_exclusions
from agegender.errors import DatasetError
from agegender.label_quality import out_of_fold
from agegender.label_quality.out_of_fold import (
    EPOCHS,
    FOLDS,
    draw_folds,
    is_kept,
    predict_out_of_fold,
)
from agegender.label_quality.suspicion import rank_labels
from agegender.model.weights import find_weights
from agegender.training.config import TrainConfig
from agegender.training.features import Features
from agegender.training.heads import LabeledFeatures
from agegender.training.runs import create_run

MakeFaces = Callable[..., Path]

FloatArray = NDArray[np.float32]


@dataclass
class Lines:
    """Heads in place of the network's: the straight lines that fit what they are trained on."""

    learned: int
    age: NDArray[np.float64]
    female: NDArray[np.float64]

    def __call__(self, values: FloatArray, *, training: bool) -> dict[str, NDArray[np.float64]]:
        assert not training
        female = (_known(values) @ self.female).clip(0.001, 0.999)
        return {"age": _known(values) @ self.age, "gender": np.stack([1 - female, female], axis=1)}


def _known(values: FloatArray) -> NDArray[np.float64]:
    return np.column_stack([values[:, 0], values[:, 1], np.ones(len(values))])


def learn_lines(
    train: LabeledFeatures,
    validation: LabeledFeatures,
    config: TrainConfig,
    *,
    on_epoch: Callable[[dict[str, float]], None],
) -> Lines:
    assert len(validation.age) > 0
    for epoch in range(config.epochs):
        on_epoch({"epoch": epoch + 1})
    known = _known(train.values[train.rows, 0])
    age, female = (np.linalg.lstsq(known, y)[0] for y in (train.age, train.gender))
    return Lines(len(train.age), age, female)


@pytest.fixture
def heads(monkeypatch: pytest.MonkeyPatch) -> list[Lines]:
    """Put features that tell what is in a file's name in place of a network's, and note the heads.

    The file that is planted below looks as young as it was.
    """
    learned: list[Lines] = []

    def load(folder: Path, faces: pd.DataFrame, *_: object, **__: object) -> Features:
        values = np.zeros((len(faces), 2, 2048), np.float32)
        age = faces["age"].mask(faces["file"].str.startswith("99_"), 5)
        noise = np.random.default_rng(0).normal(0, 2, len(faces))
        values[:, :, 0] = (age + noise).to_numpy()[:, None]
        values[:, :, 1] = faces["gender"].to_numpy()[:, None]
        usable = np.array([(folder / file).exists() for file in faces["file"]])
        return Features(values[usable], faces["file"][~usable].tolist(), usable)

    def learn(*args: Any, **options: Any) -> Lines:
        learned.append(learn_lines(*args, **options))
        return learned[-1]

    monkeypatch.setattr(out_of_fold, "load_features", load)
    monkeypatch.setattr(out_of_fold, "train_heads", learn)
    return learned


def _dataset(make_faces: MakeFaces) -> Dataset:
    folder = make_faces(150, size=32)
    train = open_dataset(folder).of("train")["file"]
    young = next(file for file in train if 3 <= int(file.split("_")[0]) <= 7)
    (folder / young).rename(folder / f"99_{young.partition('_')[2]}")
    return open_dataset(folder)


def test_folds_keep_copies_together_and_are_of_like_size() -> None:
    groups = np.array([-1] * 80 + [0] * 7 + [1] * 3 + [-1] * 10)
    folds = draw_folds(groups)
    assert len(set(folds[80:87])) == 1
    assert len(set(folds[87:90])) == 1
    assert np.bincount(folds, minlength=FOLDS).min() >= 10
    assert len(draw_folds(np.array([], np.int64))) == 0


def test_a_planted_wrong_label_ranks_first_and_the_work_is_kept(
    make_faces: MakeFaces, heads: list[Lines]
) -> None:
    dataset = _dataset(make_faces)
    weights = find_weights("random:32")
    assert not is_kept(dataset, weights)
    seen: list[tuple[int, int]] = []
    answers = predict_out_of_fold(
        dataset, weights, on_epochs=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (FOLDS * EPOCHS, FOLDS * EPOCHS)
    train = dataset.of("train")
    assert answers["file"].tolist() == train["file"].tolist()
    # Each face was kept from the heads that answered for it, and from no others.
    assert [head.learned < len(train) for head in heads] == [True] * FOLDS
    assert sum(len(train) - head.learned for head in heads) == len(train)
    first = rank_labels(answers).iloc[0]
    assert first["file"].startswith("99_")
    assert first["head"] == "age"
    assert first["age_pred"] == pytest.approx(5, abs=6)

    assert is_kept(dataset, weights)
    assert predict_out_of_fold(dataset, weights).equals(answers)
    assert len(heads) == FOLDS
    # A fold that is lost is the only one that is learned again.
    next(workspace_dir().glob("label-quality/*/fold-3.parquet")).unlink()
    assert predict_out_of_fold(dataset, weights)["file"].equals(answers["file"])
    assert len(heads) == FOLDS + 1


def test_too_few_faces_are_refused(make_faces: MakeFaces) -> None:
    dataset = open_dataset(make_faces(4))
    with pytest.raises(DatasetError, match="too few"):
        predict_out_of_fold(dataset, find_weights("random:32"))


def test_a_picture_that_is_gone_leaves_no_list_with_a_hole(
    make_faces: MakeFaces, heads: list[Lines]
) -> None:
    dataset = _dataset(make_faces)
    weights = find_weights("random:32")
    gone = dataset.path(dataset.of("train")["file"].iloc[5])
    aside = gone.rename(gone.with_suffix(".aside"))
    with pytest.raises(DatasetError, match=f"1 of the pictures .* {gone.name} among them"):
        predict_out_of_fold(dataset, weights)
    assert not list(workspace_dir().glob("label-quality/*/*.parquet"))
    aside.rename(gone)
    assert len(predict_out_of_fold(dataset, weights)) == len(dataset.of("train"))


def test_the_command_writes_a_list(
    make_faces: MakeFaces,
    heads: list[Lines],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataset = _dataset(make_faces)
    run = create_run(TrainConfig(str(dataset.folder), "random:32"))
    output = tmp_path / "wrong.csv"
    command = ["labels", "--dataset", str(dataset.folder), "--run", run.id, "--top", "3"]
    assert main([*command, "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("99_")
    assert "labelled 99 years, predicted" in said
    assert said.splitlines()[-1].endswith(f"train --exclude {output}")
    listed = read_exclusions(output)
    assert len(listed) == 3
    assert listed <= set(dataset.of("train")["sha256"])
    with pytest.raises(SystemExit, match="2"):
        main([*command[:-1], "none"])
