from __future__ import annotations

import numpy as np
import pytest

from agegender.commands import architecture as command
from agegender.model.architecture import (
    architecture_table,
    attach_heads,
    build_backbone,
    build_heads,
    build_model,
)


@pytest.fixture(scope="module")
def model():
    return build_model(224)


def test_parameters_are_those_of_the_seed_table(model):
    rows = {row.layer: row for row in architecture_table(model)}

    counts = {name: row.parameters for name, row in rows.items()}
    assert counts == {
        "ResNet50 (frozen)": 23_587_712,
        "GlobalAveragePooling2D": 0,
        "dense_256": 524_544,
        "dense_128": 32_896,
        "age": 129,
        "gender": 258,
    }
    assert rows["ResNet50 (frozen)"].output_shape == (7, 7, 2048)
    assert rows["age"].output_shape == (1,)
    assert rows["gender"].output_shape == (2,)
    assert model.count_params() == 24_145_539
    assert build_heads(dropout=0.3).count_params() == 557_827


def test_table_command_prints_totals(capsys, monkeypatch, model):
    monkeypatch.setattr(command, "build_model", lambda size: model)
    parser = _parser(command)

    args = parser.parse_args(["architecture"])
    assert args.run(args) == 0

    text = capsys.readouterr().out
    assert "| ResNet50 (frozen) | (7, 7, 2048) | 23,587,712 |" in text
    assert "| age | (1,) | 129 |" in text
    assert "24,145,539" in text
    assert "557,827" in text


def test_table_command_refuses_too_small_a_size():
    args = _parser(command).parse_args(["architecture", "--size", "16"])
    with pytest.raises(SystemExit) as stopped:
        args.run(args)
    assert stopped.value.code == 2


def test_outputs_are_float32_even_under_another_policy():
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        heads = build_heads()
    finally:
        keras.config.set_dtype_policy(before)
    answer = heads(np.zeros((1, 2048), np.float32))
    assert {str(value.dtype) for value in answer.values()} == {"<dtype: 'float32'>"}


def test_attached_heads_share_the_backbone_in_one_flat_graph():
    import keras

    backbone = build_backbone(32)
    model = attach_heads(backbone)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert model.get_layer("conv1_conv") is backbone.get_layer("conv1_conv")


def _parser(module):
    import argparse

    parser = argparse.ArgumentParser()
    module.add_parser(parser.add_subparsers(dest="command"))
    return parser
