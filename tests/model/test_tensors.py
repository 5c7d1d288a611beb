from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from agegender.errors import InvalidModelError, ModelNotFoundError, StorageError
from agegender.model.architecture import build_backbone, build_heads
from agegender.model.tensors import (
    assign_weights,
    check_file,
    file_hash,
    read_metadata,
    read_tensors,
    save_tensors,
    save_weights,
)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "some.safetensors"
    tensors = {"a": np.arange(1000, dtype=np.float32), "b": np.full((2, 3), 0.1, np.float16)}
    save_tensors(tensors, path, {"what": "numbers"})
    return path


def rewrite(path, data):
    """Replace a file and make its JSON agree, as a malicious file's would."""
    path.write_bytes(data)
    path.with_suffix(".json").write_text(json.dumps({"sha256": hashlib.sha256(data).hexdigest()}))


def test_arrays_and_what_is_known_of_them_come_back(saved):
    tensors = read_tensors(saved)
    assert {name: values.dtype for name, values in tensors.items()} == {
        "a": np.float32,
        "b": np.float32,
    }
    np.testing.assert_array_equal(tensors["a"], np.arange(1000))
    np.testing.assert_array_equal(tensors["b"], np.full((2, 3), np.float16(0.1)))
    data = saved.read_bytes()
    assert check_file(saved) == {
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "what": "numbers",
    }


def test_hash_is_that_of_the_file_as_it_is_now(tmp_path):
    path = tmp_path / "file"
    for data in (b"one", b"another"):
        path.write_bytes(data)
        assert file_hash(path) == hashlib.sha256(data).hexdigest()
        assert file_hash(path, "md5") == hashlib.md5(data).hexdigest()


def test_file_without_its_json_is_refused(saved):
    saved.with_suffix(".json").unlink()
    with pytest.raises(ModelNotFoundError, match="copy both files together"):
        read_metadata(saved)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_damaged_json_is_refused(saved, text):
    saved.with_suffix(".json").write_text(text)
    with pytest.raises(InvalidModelError, match=r"some\.json"):
        read_metadata(saved)


@pytest.mark.parametrize("read", [check_file, read_tensors])
def test_file_cut_short_is_refused(saved, read):
    with saved.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(InvalidModelError, match=r"cut short .1000 of"):
        read(saved)


@pytest.mark.parametrize("read", [check_file, read_tensors])
def test_file_of_another_hash_is_refused(saved, read):
    with saved.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    with pytest.raises(InvalidModelError, match="SHA-256"):
        read(saved)


def test_missing_file_is_one_sentence(saved):
    saved.unlink()
    with pytest.raises(ModelNotFoundError, match="No such file"):
        read_tensors(saved)


def test_pickle_is_refused_and_its_code_does_not_run(saved, tmp_path):
    class Attack:
        def __reduce__(self):
            return (tmp_path.joinpath("attacked").touch, ())

    rewrite(saved, pickle.dumps(Attack()))
    with pytest.raises(InvalidModelError, match="can carry code"):
        read_tensors(saved)
    assert not (tmp_path / "attacked").exists()


def test_other_number_types_are_refused(saved):
    from safetensors.numpy import save

    rewrite(saved, save({"a": np.zeros(3, np.float64)}))
    with pytest.raises(InvalidModelError, match="float64"):
        read_tensors(saved)


def test_other_shape_is_refused_and_nothing_is_assigned():
    heads = build_heads()
    before = [array.copy() for array in heads.get_weights()]
    tensors = {variable.path: np.ones(variable.shape) for variable in heads.variables}
    tensors["gender/bias"] = np.ones(3)
    with pytest.raises(InvalidModelError, match="gender/bias"):
        assign_weights(heads, tensors, source="x")
    for old, new in zip(before, heads.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("layer", "index", "value", "reason"),
    [("conv1_bn", 3, 1e-9, "variance becomes zero"), ("conv1_conv", 0, 1e6, "too large")],
)
def test_float16_refuses_what_it_cannot_hold(tmp_path, layer, index, value, reason):
    model = build_backbone(32)
    arrays = model.get_layer(layer).get_weights()
    arrays[index].flat[0] = value
    model.get_layer(layer).set_weights(arrays)
    path = tmp_path / "backbone.safetensors"
    with pytest.raises(InvalidModelError, match=reason):
        save_weights(model, path, dtype="float16")
    assert not path.exists()


def test_unknown_dtype_is_a_bad_argument(tmp_path):
    with pytest.raises(ValueError, match="int8"):
        save_weights(build_heads(), tmp_path / "a.safetensors", dtype="int8")


def test_full_disk_leaves_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match="disk is full"):
        save_tensors({"a": np.zeros(3, np.float32)}, saved, {})
    assert saved.read_bytes() == before
