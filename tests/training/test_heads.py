from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agegender.errors import StoppedError
from agegender.model.architecture import build_heads
from agegender.training import heads as module
from agegender.training.config import TrainConfig
from agegender.training.heads import LabeledFeatures, train_heads
from agegender.training.run import METRIC_COLUMNS

CONFIG = TrainConfig("faces", backbone="random", epochs=12, batch_size=64, dropout=0.0)


def make_data(count: int, seed: int = 0) -> LabeledFeatures:
    """Make features of odd scales from which age and gender can be learned."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(1, 90, count)
    gender = rng.integers(0, 2, count)
    values = rng.normal(size=(count, 2, 2048)).astype(np.float32)
    values[..., :200] += (age[:, None, None] - 45) / 25
    values[..., 200:400] += gender[:, None, None]
    values[..., 5] = 0.0  # a dead channel
    rows = np.arange(count)
    return LabeledFeatures(values * 50 + 300, rows, age.astype(np.float32), gender)


@pytest.fixture(scope="module")
def data():
    return make_data(600), make_data(100, seed=1)


def answers(heads, values):
    outputs = [heads(values[:, view]) for view in range(2)]
    return [np.mean([np.asarray(one[name]) for one in outputs], axis=0) for name in outputs[0]]


def test_heads_learn_and_the_metrics_are_those_of_the_folded_heads(data):
    train, validation = data
    rows = []
    heads = train_heads(train, validation, CONFIG, on_epoch=rows.append)

    assert tuple(rows[0]) == METRIC_COLUMNS
    assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[-1]["loss"] < rows[0]["loss"]
    best = min(rows, key=lambda row: row["val_loss"])
    floor = np.abs(validation.age - np.median(train.age)).mean()
    assert best["val_age_mae"] < 0.9 * floor
    age, gender = answers(heads, validation.values)
    # The best epoch's weights, and standardisation and age scale folded in.
    error = np.abs(age[:, 0].clip(min=0) - validation.age).mean()
    assert error == pytest.approx(best["val_age_mae"], rel=1e-3)
    accuracy = (gender.argmax(axis=1) == validation.gender).mean()
    assert accuracy == pytest.approx(best["val_gender_accuracy"], abs=0.011)
    assert [layer.name for layer in heads.layers] == [layer.name for layer in build_heads().layers]
    assert heads.count_params() == 557_827


def test_same_seed_gives_the_same_heads_and_another_seed_others(data):
    config = replace(CONFIG, epochs=2, dropout=0.3)
    first, second, other = (
        train_heads(*data, changed) for changed in (config, config, replace(config, seed=1))
    )
    for one, two in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)
    assert not np.allclose(first.get_weights()[0], other.get_weights()[0])


def test_only_the_rows_that_are_named_are_learned_from_and_validated_on(data):
    config = replace(CONFIG, epochs=2)
    train, validation = data
    # Among others, and in another order there than here.
    values = np.concatenate([np.full_like(validation.values, np.nan), train.values[::-1]])
    rows = len(values) - 1 - train.rows
    heads = train_heads(replace(train, values=values, rows=rows), validation, config)
    expected = train_heads(train, validation, config)
    for one, two in zip(heads.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)


def test_answers_start_at_the_median_age(data):
    train, validation = data
    alike = replace(train, age=np.full_like(train.age, 70))
    rows = []
    train_heads(alike, validation, replace(CONFIG, epochs=1), on_epoch=rows.append)
    assert rows[0]["age_mae"] < 3


def test_training_ends_when_validation_gets_no_better(data):
    rows = []
    config = replace(CONFIG, epochs=200, patience=2, learning_rate=3e-3)
    train_heads(*data, config, on_epoch=rows.append)
    losses = [row["val_loss"] for row in rows]
    assert len(rows) < 200
    assert np.argmin(losses) == len(losses) - 3


@pytest.mark.parametrize("kind", ["l1", "huber"])
def test_both_age_losses_are_in_years_when_large(kind):
    loss = np.asarray(module.age_loss(np.array([20.0, 1.0], np.float32), kind))
    assert loss.tolist() == pytest.approx([20.0, 1.0] if kind == "l1" else [17.5, 0.1])


def test_each_epoch_shows_each_view_once_in_a_new_order():
    data = make_data(8)
    weights = np.ones(8, np.float32)
    seen = [
        np.concatenate([batch[1] for batch in module._batches(data, weights, 4, seed=(0, epoch))])
        for epoch in (1, 2)
    ]
    assert sorted(seen[0]) == sorted(np.repeat(data.age, 2)) == sorted(seen[1])
    assert seen[0].tolist() != seen[1].tolist()


def test_weights_of_ages_go_with_their_faces():
    data = make_data(8)
    batches = module._batches(data, 2 * data.age, 4, seed=(0, 1))
    assert all((weight == 2 * age).all() for _, age, _, weight in batches)


def test_old_faces_come_off_better_with_balance():
    """Of two kinds of faces that look alike, the answer goes to the one that weighs more."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(600, 2, 2048)).astype(np.float32)
    age = np.where(np.arange(600) < 400, 30, 70).astype(np.float32)
    data = LabeledFeatures(values, np.arange(600), age, rng.integers(0, 2, 600))
    config = replace(CONFIG, epochs=1)
    errors = []
    for balance in (0.0, 1.0):
        heads = train_heads(data, data, replace(config, age_balance=balance))
        errors.append(np.abs(answers(heads, values[400:])[0][:, 0] - 70).mean())
    assert errors[1] < errors[0]


def test_fewer_faces_than_a_batch_are_enough():
    heads = train_heads(make_data(3), make_data(1), replace(CONFIG, epochs=1, batch_size=4096))
    assert np.isfinite(heads.get_weights()[0]).all()


def test_stop_ends_training(data):
    with pytest.raises(StoppedError, match="epoch 1 of 12"):
        train_heads(*data, CONFIG, should_stop=lambda: True)


def test_no_faces_is_a_bad_argument(data):
    full = data[0]
    empty = LabeledFeatures(full.values, full.rows[:0], full.age[:0], full.gender[:0])
    with pytest.raises(ValueError, match="at least one face"):
        train_heads(empty, data[1], CONFIG)
