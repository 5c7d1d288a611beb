from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agegender.dataset.dataset import open_dataset
from agegender.errors import StoppedError
from agegender.model.architecture import build_heads
from agegender.model.weights import find_weights, load_backbone
from agegender.training.config import TrainConfig
from agegender.training.finetune import _labeled_batches, fine_tune
from agegender.training.runs import create_run
from agegender.training.trainer import train


def test_pictures_that_cannot_be_read_are_noted(make_faces):
    dataset = open_dataset(make_faces(40))
    faces = dataset.of("train")
    victim = faces["file"].iloc[1]
    dataset.path(victim).write_bytes(b"broken")
    config = TrainConfig(str(dataset.folder), backbone="random:32")
    skipped = set()
    batches = _labeled_batches(dataset, faces, find_weights("random:32"), config, skipped)
    labels = [batch[1]["age"].shape[0] for batch in batches.take(2)]
    assert sum(labels) >= len(faces) - 1
    assert skipped == {victim}


@pytest.mark.slow
def test_fine_tuned_run_has_its_own_backbone_with_only_the_top_changed(make_faces):
    config = TrainConfig(
        str(make_faces(80)), backbone="random:32", epochs=2, fine_tune_epochs=1, limit=40
    )
    run = create_run(config)
    phases = []
    train(run, on_state=lambda state: phases.append(state.phase))

    assert list(dict.fromkeys(phases)) == ["dataset", "features", "heads", "fine-tuning"]
    assert phases[-1] == "heads", "the heads are trained anew on the new features"
    weights = run.weights()
    assert weights.name == "fine-tuned"
    assert weights.file == run.backbone_file
    assert not weights.has_skill
    recorded = json.loads(run.heads_file.with_suffix(".json").read_text())["backbone"]
    assert recorded["sha256"] == weights.sha256

    before = load_backbone(find_weights("random:32"))
    after = load_backbone(weights)
    changed = {
        new.path
        for old, new in zip(before.variables, after.variables, strict=True)
        if not np.array_equal(np.asarray(old), np.asarray(new))
    }
    assert changed
    assert all(path.startswith("conv5") for path in changed)
    assert all("moving" not in path and "gamma" not in path for path in changed)
    assert run.load_model().count_params() == 24_145_539


def test_stopped_fine_tuning_saves_nothing(make_faces, tmp_path):
    dataset = open_dataset(make_faces(40))
    path = tmp_path / "backbone.safetensors"
    seen = []
    with pytest.raises(StoppedError, match="1 steps"):
        fine_tune(
            dataset,
            dataset.of("train"),
            find_weights("random:32"),
            build_heads(),
            TrainConfig(str(dataset.folder), backbone="random:32", fine_tune_epochs=2),
            path,
            on_progress=lambda done, total: seen.append((done, total)),
            should_stop=lambda: True,
        )
    assert seen
    assert not Path(path).exists()
