from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from agegender.errors import InvalidModelError, ModelNotFoundError
from agegender.model import weights
from agegender.model.architecture import build_heads
from agegender.model.preprocessing import InputSpec
from agegender.model.tensors import save_tensors, save_weights
from agegender.model.weights import (
    backbone_label,
    default_weights,
    file_of_project,
    find_weights,
    lasting_name,
    load_backbone,
)


@pytest.fixture(scope="module")
def saved(backbone, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "backbone.safetensors"
    save_weights(backbone, path, dtype="float16", metadata={"size": 32, "crop": 0.875})
    return path


@pytest.fixture
def copied(saved, tmp_path):
    for path in (saved, saved.with_suffix(".json")):
        shutil.copy(path, tmp_path / path.name)
    return tmp_path / saved.name


@pytest.fixture
def heads_file(tmp_path):
    path = tmp_path / "heads.safetensors"
    save_weights(build_heads(), path, metadata={"size": 32, "crop": 1.0})
    return path


def test_random_weights_are_the_same_each_time_and_have_no_skill(backbone):
    found = find_weights("random:32")
    assert found.spec == InputSpec(32)
    assert not found.has_skill
    assert found.sha256 == find_weights("random").sha256
    again = load_backbone(found)
    rgb = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    features = np.asarray(backbone(rgb))
    np.testing.assert_array_equal(features, np.asarray(again(rgb)))
    assert np.isfinite(features).all()
    assert np.abs(features[0] - features[1]).max() > 0.1
    # Pinned: cached features of older versions must stay valid.
    kernel = backbone.get_layer("conv1_conv").get_weights()[0]
    np.testing.assert_allclose(kernel[0, 0, 0, :2], [-0.009591, 0.001176], atol=1e-5)


@pytest.mark.parametrize("size", [5, 16, 31])
def test_random_weights_of_too_small_a_size_are_refused(size):
    with pytest.raises(ModelNotFoundError, match=f"'random:{size}'.*at least 32 pixels"):
        find_weights(f"random:{size}")


def test_random_weights_come_in_the_standard_size_by_default():
    assert find_weights("random").spec == InputSpec(224, 1.0)


def test_saved_weights_come_back_in_float16(saved, backbone):
    found = find_weights(str(saved))
    assert found.spec == InputSpec(32, 0.875)
    assert found.has_skill
    assert saved.stat().st_size < 50e6
    loaded = load_backbone(found)
    assert loaded.trainable is False
    for ours, theirs in zip(loaded.variables, backbone.variables, strict=True):
        np.testing.assert_array_equal(
            np.asarray(ours), np.asarray(theirs).astype(np.float16).astype(np.float32)
        )


def test_loaded_backbone_is_float32_even_after_a_pretraining(saved):
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        loaded = load_backbone(find_weights(str(saved)))
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy(before)
    assert loaded.get_layer("conv1_conv").compute_dtype == "float32"


def test_default_is_the_shipped_set_once_there_is_one(monkeypatch, copied):
    monkeypatch.setattr(weights, "SHIPPED_FILE", copied.with_name("none.safetensors"))
    assert default_weights() == "random"
    with pytest.raises(ModelNotFoundError, match="git checkout -- agegender/shipped"):
        find_weights("shipped")
    monkeypatch.setattr(weights, "SHIPPED_FILE", copied)
    assert default_weights() == "shipped"
    assert find_weights("shipped").name == "shipped"


def test_unknown_name_says_what_there_is():
    with pytest.raises(ModelNotFoundError, match=r"'resnet'.*shipped.*imagenet.*random"):
        find_weights("resnet")


def test_json_without_input_size_is_refused(copied):
    description = json.loads(copied.with_suffix(".json").read_text())
    del description["crop"]
    copied.with_suffix(".json").write_text(json.dumps(description))
    with pytest.raises(InvalidModelError, match="size and crop"):
        find_weights(str(copied))


def test_file_cut_short_is_refused(copied):
    with copied.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(InvalidModelError, match=r"cut short .1000 of"):
        find_weights(str(copied))


@pytest.mark.parametrize("name", ["nothing.safetensors", "a" * 300, "~nosuchuser/x.safetensors"])
def test_name_of_no_file_is_one_sentence(name):
    assert lasting_name(name) == name
    with pytest.raises(ModelNotFoundError, match="There are no backbone weights"):
        find_weights(name)


def test_file_of_weights_is_told_without_reading_or_downloading(tmp_path, monkeypatch):
    path = tmp_path / "b.safetensors"
    assert file_of_project(str(path)) is None
    path.touch()
    assert file_of_project(str(path)) == path
    monkeypatch.setattr("agegender.model.weights.SHIPPED_FILE", path)
    assert file_of_project("shipped") == path
    monkeypatch.chdir(tmp_path)
    for name in ("imagenet", "random", "random:32"):
        (tmp_path / name).mkdir()
        assert file_of_project(name) is None


def test_name_of_a_file_holds_in_any_folder(copied, monkeypatch, tmp_path):
    monkeypatch.chdir(copied.parent)
    assert lasting_name(copied.name) == str(copied.resolve())
    assert lasting_name("random") == "random"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("shipped", "shipped backbone"),
        ("random:64", "random backbone, 64 px"),
        ("/home/me/mine.safetensors", "mine.safetensors"),
    ],
)
def test_label_is_for_people(name, label):
    assert backbone_label(name) == label


def test_file_that_changed_after_it_was_chosen_is_refused(copied):
    found = find_weights(str(copied))
    save_tensors({"a": np.zeros(3, np.float32)}, copied, {"size": 32, "crop": 1.0})
    with pytest.raises(InvalidModelError, match="has changed since it was chosen"):
        load_backbone(found)


def test_other_architecture_is_refused(heads_file):
    with pytest.raises(InvalidModelError, match=r"another architecture.*differ"):
        load_backbone(find_weights(str(heads_file)))
