from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agegender.training.config import TrainConfig

CONFIG = TrainConfig("faces", backbone="random")


def test_settings_survive_json():
    config = replace(CONFIG, epochs=3, limit=10, age_loss="huber")
    assert TrainConfig.from_json(config.to_json()) == config


def test_backbone_is_the_default_one_when_none_is_named(monkeypatch):
    monkeypatch.setattr("agegender.model.weights.SHIPPED_FILE", Path(__file__))
    assert TrainConfig("faces").backbone == "shipped"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", 2.0),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("age_loss", "l2"),
        ("age_loss_weight", -1.0),
        ("age_balance", 1.5),
        ("patience", 0),
        ("fine_tune_epochs", -1),
        ("limit", 1),
        ("seed", -1),
        ("epochs", 1.5),
        ("batch_size", 16.0),
        ("patience", True),
        ("fine_tune_epochs", None),
        ("limit", 2.5),
        ("seed", 0.5),
        ("seed", 2**32),
    ],
)
def test_setting_out_of_range_is_named_with_its_value(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value!r}, but"):
        replace(CONFIG, **{name: value})


def test_both_losses_cannot_be_off():
    with pytest.raises(ValueError, match="both 0"):
        replace(CONFIG, age_loss_weight=0, gender_loss_weight=0)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"dataset": "x", "colour": 1}', '{"dataset": "x", "epochs": "many"}'],
)
def test_damaged_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        TrainConfig.from_json(text)


def test_json_is_readable():
    assert json.loads(CONFIG.to_json())["batch_size"] == 256
