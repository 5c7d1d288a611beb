"""The search for held-out faces among the extra faces of a pretraining."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from agegender.dataset.dataset import open_dataset
from agegender.model.weights import find_weights
from benchmarks import held_out_overlap


def test_a_shifted_copy_that_the_hash_misses_comes_first(
    make_faces: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_dataset(make_faces(80))
    held_out = dataset.path(dataset.of("test")["file"].iloc[0])
    extra = tmp_path / "extra"
    (extra / "celeba").mkdir(parents=True)
    others = make_faces(8, name="others", seed=1)
    for number, path in enumerate(sorted(others.iterdir())):
        Image.open(path).save(extra / "celeba" / f"{number}.png")
    shifted = np.pad(np.asarray(Image.open(held_out)), ((0, 6), (0, 6), (0, 0)), "edge")[6:, 6:]
    Image.fromarray(shifted).save(extra / "celeba" / "copy.png")
    names = sorted(path.name for path in (extra / "celeba").iterdir())
    labels = pd.DataFrame({"filename": [f"celeba/{name}" for name in names]})
    labels.assign(age=np.nan, gender="female").to_csv(extra / "labels.csv", index=False)
    weights = find_weights("random:32")
    monkeypatch.setattr(held_out_overlap, "find_weights", lambda name: weights)
    output = tmp_path / "overlap"
    arguments = ["--dataset", str(dataset.folder), "--extra", str(extra), "--output", str(output)]
    assert held_out_overlap.main(arguments) == 0
    pairs = pd.read_csv(output / "pairs.csv")
    first = pairs.iloc[0]
    assert (first["held_out"], Path(first["extra"]).name) == (str(held_out), "copy.png")
    assert first["detail"] >= 0.9 > pairs.iloc[1]["detail"]
    with Image.open(output / "pairs.png") as picture:
        assert picture.width == 10 * held_out_overlap.TILE
