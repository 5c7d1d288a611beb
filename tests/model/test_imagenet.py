from __future__ import annotations

import hashlib
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from agegender.errors import InvalidModelError, ModelNotFoundError
from agegender.model import imagenet as module
from agegender.model.imagenet import fetch_imagenet
from agegender.model.preprocessing import InputSpec
from agegender.model.weights import find_weights, load_backbone


@pytest.fixture(scope="module")
def keras_file(backbone, tmp_path_factory):
    """A stand-in for Keras' file, in its old format."""
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


def test_looking_for_imagenet_fetches_nothing(keras_home, server):
    with pytest.raises(ModelNotFoundError, match="as a training with them does"):
        find_weights("imagenet")
    assert not keras_home.exists()


def test_imagenet_out_of_reach_says_where_to_put_the_file(keras_home, monkeypatch):
    monkeypatch.setattr(module, "IMAGENET_URL", "http://127.0.0.1:9/")
    with pytest.raises(ModelNotFoundError) as caught:
        fetch_imagenet()
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
