"""The weights and the run that travel with the package, as they are."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from agegender.config import PROJECT_DIR, SHIPPED_DIR
from agegender.dataset.split import draw_split
from agegender.dataset.utkface import parse_name
from agegender.errors import DatasetError
from agegender.evaluation.published import read_published
from agegender.evaluation.tables import headline_table, markdown
from agegender.images import read_image
from agegender.model.tensors import read_tensors
from agegender.model.weights import SHIPPED_FILE, default_weights, find_weights
from agegender.prediction.predictor import load_predictor
from agegender.pretraining.recipe import CONTINUED_RECIPE
from agegender.training.runs import default_run
from agegender.training.seen import seen_file
from pages.current_run import usable_runs

pytestmark = pytest.mark.shipped


def test_shipped_weights_are_whole_small_and_the_default() -> None:
    assert default_weights() == "shipped"
    weights = find_weights("shipped")
    assert weights.has_skill
    assert SHIPPED_FILE.stat().st_size <= 50_000_000
    tensors = read_tensors(SHIPPED_FILE)
    assert sum(values.size for values in tensors.values()) == 23_587_712
    variances = [values for name, values in tensors.items() if name.endswith("moving_variance")]
    assert variances
    assert all((values > 0).all() for values in variances)


def test_list_of_seen_faces_has_a_row_for_each_different_train_face() -> None:
    description = json.loads(SHIPPED_FILE.with_suffix(".json").read_text())
    assert seen_file("shipped") == SHIPPED_DIR / "seen.npy"
    assert description["seen_sha256"]
    seen = np.load(SHIPPED_DIR / "seen.npy", allow_pickle=False)
    # What the weights that it went on from have seen counts as well.
    most = dict(description["train_faces"])
    earlier = description.get("start")
    while earlier:
        for name, count in earlier["train_faces"].items():
            most[name] = max(most.get(name, 0), count)
        earlier = earlier.get("start")
    # One face in a hundred is there more than once.
    assert 0.98 * sum(most.values()) < len(seen) <= sum(most.values())
    assert len(np.unique(seen, axis=0)) == len(seen)


def test_going_on_from_the_shipped_weights_keeps_their_size() -> None:
    assert CONTINUED_RECIPE.stages[-1].size == find_weights("shipped").spec.size


def test_a_first_start_has_a_model() -> None:
    run = default_run()
    assert run.id == "shipped"
    uncertainty = run.load_uncertainty()
    assert uncertainty is not None
    assert uncertainty.intervals is not None


def test_the_shipped_run_is_finished_and_offered() -> None:
    """It is as old as its weights: a state that this version cannot read is called damaged."""
    assert default_run().state.status == "finished"
    assert usable_runs()[0].is_shipped


def test_published_figures_are_of_these_weights_and_those_of_the_readme() -> None:
    published = read_published(default_run())
    assert published is not None
    assert find_weights("shipped").sha256 in published["about"]["Backbone weights"]
    readme = (PROJECT_DIR / "README.md").read_text(encoding="utf-8")
    assert markdown(headline_table(published)) in readme


@pytest.mark.slow
def test_the_shipped_model_has_skill_on_faces_it_has_not_seen(real_dataset_archive: Path) -> None:
    pictures, ages, genders = [], [], []
    with tarfile.open(real_dataset_archive) as archive:
        for member in archive:
            file = archive.extractfile(member)
            data = b"" if file is None else file.read()
            if draw_split(hashlib.sha256(data).hexdigest()) != "validation" or not data:
                continue
            try:
                labels = parse_name(Path(member.name).name)
            except DatasetError:
                continue
            pictures.append(data)
            ages.append(labels.age)
            genders.append(labels.gender)
    chosen = np.random.default_rng(0).permutation(len(pictures))[:200]
    faces = [read_image(pictures[number]) for number in chosen]
    answers = load_predictor(default_run()).predict(faces)
    errors = [abs(a.age - ages[number]) for a, number in zip(answers, chosen, strict=True)]
    right = [(a.p_female >= 0.5) == genders[n] for a, n in zip(answers, chosen, strict=True)]
    assert np.mean(errors) < 8
    assert np.mean(right) > 0.85
