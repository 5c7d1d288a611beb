from __future__ import annotations

import hashlib
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from agegender.errors import InvalidModelError, ModelNotFoundError
from agegender.model import weights as module
from agegender.model.architecture import build_heads
from agegender.model.preprocessing import InputSpec
from agegender.model.tensors import save_tensors, save_weights
from agegender.model.weights import (
    default_weights,
    fetch_imagenet,
    file_of_project,
    find_weights,
    lasting_name,
    load_backbone,
)


@pytest.fixture(scope="module")
def backbone():
    return load_backbone(find_weights("random:32"))


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
    monkeypatch.setattr(module, "SHIPPED_FILE", copied.with_name("none.safetensors"))
    assert default_weights() == "random"
    with pytest.raises(ModelNotFoundError, match="fetch the whole project"):
        find_weights("shipped")
    monkeypatch.setattr(module, "SHIPPED_FILE", copied)
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


def test_file_that_changed_after_it_was_chosen_is_refused(copied):
    found = find_weights(str(copied))
    save_tensors({"a": np.zeros(3, np.float32)}, copied, {"size": 32, "crop": 1.0})
    with pytest.raises(InvalidModelError, match="has changed since it was chosen"):
        load_backbone(found)


def test_other_architecture_is_refused(heads_file):
    with pytest.raises(InvalidModelError, match=r"another architecture.*differ"):
        load_backbone(find_weights(str(heads_file)))


# -- imagenet: a stand-in for Keras' file, in its old format -------------------


@pytest.fixture(scope="module")
def keras_file(backbone, tmp_path_factory):
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    path = tmp_path_factory.mktemp("keras") / "notop.h5"
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, backbone)
    return path


@pytest.fixture
def keras_home(tmp_path, monkeypatch, keras_file):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(module, "IMAGENET_MD5", hashlib.md5(keras_file.read_bytes()).hexdigest())
    monkeypatch.setattr(module, "DOWNLOAD_RETRIES", 0)
    return tmp_path / "keras" / "models"


@pytest.fixture
def server(monkeypatch, keras_file):
    """Serve what `answer` holds in place of Keras' site."""

    class Handler(BaseHTTPRequestHandler):
        answer = keras_file.read_bytes()

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.answer)))
            self.end_headers()
            self.wfile.write(self.answer)

        def log_message(self, *args):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    monkeypatch.setattr(module, "IMAGENET_URL", f"http://127.0.0.1:{web.server_port}/")
    yield Handler
    web.shutdown()
    web.server_close()


def test_imagenet_file_is_the_one_that_keras_publishes():
    from keras.src.applications import resnet

    assert resnet.WEIGHTS_HASHES["resnet50"][1] == module.IMAGENET_MD5
    assert resnet.BASE_WEIGHTS_PATH == module.IMAGENET_URL


def test_imagenet_placed_by_hand_works_offline(keras_home, keras_file, backbone, monkeypatch):
    monkeypatch.setattr(module, "IMAGENET_URL", "http://127.0.0.1:9/")
    keras_home.mkdir(parents=True)
    shutil.copy(keras_file, keras_home / module.IMAGENET_NAME)

    found = find_weights("imagenet")

    assert found.spec == InputSpec(224, 1.0)
    assert found.has_skill
    loaded = load_backbone(found)
    for ours, theirs in zip(loaded.variables, backbone.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def test_imagenet_is_downloaded_once(keras_home, keras_file, server):
    path = fetch_imagenet()
    assert path == keras_home / module.IMAGENET_NAME
    assert path.read_bytes() == keras_file.read_bytes()
    server.answer = b"gone"
    assert fetch_imagenet() == path


def test_imagenet_page_served_as_a_file_is_not_kept(keras_home, server):
    server.answer = b"<html>sign in</html>"
    with pytest.raises(ModelNotFoundError, match="could not be downloaded"):
        fetch_imagenet()
    assert not (keras_home / module.IMAGENET_NAME).exists()


def test_imagenet_out_of_reach_says_where_to_put_the_file(keras_home, monkeypatch):
    monkeypatch.setattr(module, "IMAGENET_URL", "http://127.0.0.1:9/")
    with pytest.raises(ModelNotFoundError) as caught:
        find_weights("imagenet")
    text = str(caught.value)
    assert str(keras_home / module.IMAGENET_NAME) in text
    assert "\n" not in text


def test_wrong_imagenet_file_is_refused_and_left_alone(keras_home):
    keras_home.mkdir(parents=True)
    (keras_home / module.IMAGENET_NAME).write_bytes(b"another file")
    with pytest.raises(InvalidModelError, match="MD5"):
        find_weights("imagenet")
    assert (keras_home / module.IMAGENET_NAME).read_bytes() == b"another file"


def test_damaged_imagenet_content_is_one_sentence(keras_home, monkeypatch):
    keras_home.mkdir(parents=True)
    (keras_home / module.IMAGENET_NAME).write_bytes(b"not HDF5")
    monkeypatch.setattr(module, "IMAGENET_MD5", hashlib.md5(b"not HDF5").hexdigest())
    with pytest.raises(InvalidModelError, match="delete it"):
        load_backbone(find_weights("imagenet"))
