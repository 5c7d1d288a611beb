from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agegender.dataset.dataset import open_dataset
from agegender.errors import DatasetError
from agegender.model.weights import find_weights
from agegender.pretraining.samples import collect_samples


@pytest.fixture
def extra(tmp_path: Path) -> Path:
    """A folder of extra faces: two of a set that is used, one of another."""
    folder = tmp_path / "extra"
    rng = np.random.default_rng(9)
    rows = []
    for name, age, gender in (
        ("celeba/a.png", None, "female"),
        ("all_age_faces/b.png", 31, "male"),
        ("gender_crops/c.png", None, "male"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3)).astype(np.uint8))
        coarse.resize((64, 64)).save(folder / name)
        rows.append({"filename": name, "age": age, "gender": gender})
    pd.DataFrame(rows).to_csv(folder / "labels.csv", index=False)
    return folder


def test_samples_hold_no_test_face_and_only_the_extras_that_are_used(
    make_faces: Callable[..., Path], extra: Path
) -> None:
    dataset = open_dataset(make_faces(80))
    samples = collect_samples(dataset, extra)
    table = samples.table
    assert set(table["source"]) == {"utkface", "celeba", "all_age_faces"}
    assert not set(dataset.of("test")["sha256"]) & set(table["sha256"])
    own = table[table["source"] == "utkface"]
    assert (own["split"] == "train").sum() == len(dataset.of("train"))
    validation = dataset.of("validation")
    assert 0 < validation["is_calibration"].sum() < len(validation)
    selection = validation.loc[~validation["is_calibration"], "sha256"]
    assert set(own.loc[own["split"] == "validation", "sha256"]) == set(selection)
    assert all(Path(file).exists() for file in table["file"])
    unknown = table[table["source"] == "celeba"].iloc[0]
    assert np.isnan(unknown["age"])
    assert (unknown["gender"], unknown["race"]) == (1, -1)
    assert samples.excluded == {"all_age_faces": 0, "celeba": 0}


def test_a_copy_of_a_held_out_face_is_left_out(
    make_faces: Callable[..., Path], extra: Path
) -> None:
    dataset = open_dataset(make_faces(80))
    held_out = dataset.path(dataset.of("test")["file"].iloc[0])
    # Another format and another size: only the perceptual hash can tell.
    Image.open(held_out).resize((80, 80)).save(extra / "celeba" / "a.png")
    samples = collect_samples(dataset, extra)
    assert samples.excluded == {"all_age_faces": 0, "celeba": 1}
    assert "celeba" not in set(samples.table["source"])


def test_a_shifted_copy_that_the_hash_misses_is_left_out_by_the_embedding(
    make_faces: Callable[..., Path], extra: Path
) -> None:
    dataset = open_dataset(make_faces(80))
    held_out = np.asarray(Image.open(dataset.path(dataset.of("test")["file"].iloc[0])))
    shifted = np.pad(held_out, ((0, 6), (0, 6), (0, 0)), "edge")[6:, 6:]
    for picture in (shifted, shifted[:, ::-1]):
        Image.fromarray(picture).save(extra / "celeba" / "a.png")
        assert collect_samples(dataset, extra).excluded["celeba"] == 0
        samples = collect_samples(dataset, extra, embedding=find_weights("random:32"))
        assert samples.excluded == {"all_age_faces": 0, "celeba": 1}
        assert "celeba" not in set(samples.table["source"])


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ("filename,age,gender\nceleba/gone.png,,female\n", "gone.png is named in labels.csv but"),
        ("filename,age,gender\n7,30,female\n", "names no picture in"),
        ("filename,gender\nceleba/a.png,female\n", "labels.csv with filename, age and gender"),
        ("filename,age,gender\nceleba/a.png,old,female\n", "labels.csv with filename, age and"),
        ("filename,age,gender\nceleba/a.png,,other\n", "labels.csv with filename, age and gender"),
    ],
)
def test_labels_that_do_not_fit_get_a_sentence(
    labels: str, sentence: str, make_faces: Callable[..., Path], extra: Path
) -> None:
    (extra / "labels.csv").write_text(labels)
    with pytest.raises(DatasetError, match=sentence):
        collect_samples(open_dataset(make_faces(20)), extra)


def test_a_folder_without_labels_is_refused(
    make_faces: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=r"labels\.csv"):
        collect_samples(open_dataset(make_faces(20)), tmp_path)
