from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agegender.dataset.dataset import Dataset, open_dataset
from agegender.dataset.exclusion import read_exclusions
from agegender.errors import DatasetError
from agegender.label_quality import out_of_fold
from agegender.label_quality.out_of_fold import FOLDS, draw_folds, predict_out_of_fold
from agegender.label_quality.suspicion import rank_labels
from agegender.model.weights import find_weights
from agegender.training.features import Features

MakeFaces = Callable[..., Path]


@pytest.fixture
def told_by_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put features that tell the labels in a file's name in place of a network's.

    The file that is planted below is told to be what it was before.
    """

    def load(folder: Path, faces: object, weights: object, **_: object) -> Features:
        rng = np.random.default_rng(0)
        values = rng.normal(0, 0.1, (len(faces), 2, 2048)).astype(np.float32)  # type: ignore[arg-type]
        age, gender = faces["age"].to_numpy().copy(), faces["gender"].to_numpy()  # type: ignore[index]
        age[faces["file"].str.startswith("99_")] = 5  # type: ignore[index]
        values[:, :, :64] += (age / 20)[:, None, None]
        values[:, :, 64:128] += gender[:, None, None]
        return Features(values, [], np.ones(len(values), bool))

    monkeypatch.setattr(out_of_fold, "load_features", load)


def _dataset(make_faces: MakeFaces) -> Dataset:
    folder = make_faces(250, size=32)
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
    make_faces: MakeFaces, told_by_pixels: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = _dataset(make_faces)
    weights = find_weights("random:32")
    seen: list[tuple[int, int]] = []
    learned = []
    learn = out_of_fold.train_heads

    def note(train: object, *args: object, **options: object) -> object:
        learned.append(len(train.age))  # type: ignore[attr-defined]
        return learn(train, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(out_of_fold, "train_heads", note)
    monkeypatch.setattr(out_of_fold, "EPOCHS", 3)
    answers = predict_out_of_fold(
        dataset, weights, on_epochs=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (15, 15)
    # Each face is answered for by heads that were trained on the others.
    train = dataset.of("train")
    assert answers["file"].tolist() == train["file"].tolist()
    assert sum(len(train) - count for count in learned) == len(train)
    first = rank_labels(answers).iloc[0]
    assert first["file"].startswith("99_")
    assert first["head"] == "age"

    again = predict_out_of_fold(dataset, weights)
    assert again.equals(answers)
    assert len(learned) == FOLDS
    # A fold that is lost is the only one that is learned again.
    next(out_of_fold.workspace_dir().glob("label-quality/*/fold-3.parquet")).unlink()
    assert predict_out_of_fold(dataset, weights)["file"].equals(answers["file"])
    assert len(learned) == FOLDS + 1


def test_too_few_faces_are_refused(make_faces: MakeFaces) -> None:
    dataset = open_dataset(make_faces(4))
    with pytest.raises(DatasetError, match="too few"):
        predict_out_of_fold(dataset, find_weights("random:32"))


def test_the_command_writes_a_list(
    make_faces: MakeFaces,
    told_by_pixels: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from argparse import ArgumentParser

    from agegender.commands import labels
    from agegender.training.config import TrainConfig
    from agegender.training.runs import create_run

    dataset = _dataset(make_faces)
    run = create_run(TrainConfig(str(dataset.folder), "random:32"))
    monkeypatch.setattr(out_of_fold, "EPOCHS", 3)
    parser = ArgumentParser()
    labels.add_parser(parser.add_subparsers())
    output = tmp_path / "wrong.csv"
    args = parser.parse_args(
        ["labels", "--dataset", str(dataset.folder), "--run", run.id, "--top", "3",
         "--output", str(output)]
    )  # fmt: skip
    assert args.run(args) == 0
    said = capsys.readouterr().out
    assert said.startswith("99_")
    assert said.splitlines()[-1].endswith(f"train --exclude {output}")
    listed = read_exclusions(output)
    assert len(listed) == 3
    assert listed <= set(dataset.of("train")["sha256"])
