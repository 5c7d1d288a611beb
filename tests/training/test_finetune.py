from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agegender.dataset.dataset import open_dataset
from agegender.errors import StoppedError
from agegender.images import read_image
from agegender.model.architecture import build_heads
from agegender.model.preprocessing import prepare
from agegender.model.weights import find_weights, load_backbone
from agegender.training.balance import band_weights
from agegender.training.config import TrainConfig
from agegender.training.finetune import BATCH_FACES, _labeled_batches, fine_tune
from agegender.training.runs import create_run
from agegender.training.trainer import train


def test_batches_hold_pictures_with_their_labels_and_leave_out_what_cannot_be_read(make_faces):
    dataset = open_dataset(make_faces(40))
    faces = dataset.of("train")
    weights = find_weights("random:32")
    # By the sum of the pixels, which mirroring leaves as it is.
    labels = {
        int(prepare(read_image(dataset.path(face.file)), weights.spec).sum()): (
            face.age,
            face.gender,
        )
        for face in faces.itertuples()
    }
    broken, changed, other = faces["file"].iloc[[1, 2, 3]]
    dataset.path(broken).write_bytes(b"broken")
    dataset.path(changed).write_bytes(dataset.path(other).read_bytes())
    config = TrainConfig(str(dataset.folder), backbone="random:32")
    skipped = set()

    batches = _labeled_batches(dataset, faces, weights, config, skipped)

    count = 0
    for rgb, answers, _ in batches.take(2):
        for pixels, age, gender in zip(rgb, answers["age"], answers["gender"], strict=True):
            total = int(np.asarray(pixels).sum(dtype=np.float64))
            assert labels[total] == (int(age[0]), int(gender[0]))
            count += 1
    assert count >= len(faces) - 2
    assert skipped == {broken, changed}


def test_batches_are_shuffled_anew_in_every_pass(make_faces):
    dataset = open_dataset(make_faces(40))
    faces = dataset.of("train")
    weights = find_weights("random:32")
    config = TrainConfig(str(dataset.folder), backbone="random:32")
    passes = -(-len(faces) // BATCH_FACES)
    batches = _labeled_batches(dataset, faces, weights, config, set())
    ages = [answers["age"][:, 0] for _, answers, _ in batches.take(2 * passes)]
    first, second = np.concatenate(ages[:passes]), np.concatenate(ages[passes:])
    assert first.tolist() != second.tolist()
    assert sorted(first) == sorted(second) == sorted(faces["age"])


def test_rare_ages_weigh_more_here_as_well(make_faces):
    dataset = open_dataset(make_faces(40))
    faces = dataset.of("train")
    config = TrainConfig(str(dataset.folder), backbone="random:32", age_balance=1.0)
    weight_of = dict(zip(faces["age"], band_weights(faces["age"].to_numpy(), 1.0), strict=True))
    batches = _labeled_batches(dataset, faces, find_weights("random:32"), config, set())
    [(_, answers, weights)] = batches.take(1)
    assert len(set(weights["age"].numpy())) > 1
    assert weights["age"].numpy().tolist() == [
        weight_of[age] for age in answers["age"][:, 0].numpy()
    ]
    assert set(weights["gender"].numpy()) == {1.0}


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
