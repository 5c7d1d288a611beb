from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from agegender.config import PROJECT_DIR
from agegender.dataset.dataset import open_dataset
from agegender.errors import StoppedError, StorageError
from agegender.images import read_image
from agegender.model.preprocessing import InputSpec, prepare
from agegender.model.weights import BackboneWeights, find_weights, load_backbone
from agegender.training import features as module
from agegender.training.features import FeatureCache, count_missing, load_features

WEIGHTS = find_weights("random:32")


@pytest.fixture(scope="module")
def backbone():
    return load_backbone(WEIGHTS)


@pytest.fixture(scope="module")
def extract(backbone):
    return module._compile_extractor(backbone, WEIGHTS.spec)


@pytest.fixture
def loads(monkeypatch, backbone, extract):
    """Give out one network for the whole module, and count how often it is asked for."""
    asked: list[BackboneWeights] = []
    monkeypatch.setattr(module, "load_backbone", lambda weights: asked.append(weights))
    monkeypatch.setattr(module, "_compile_extractor", lambda backbone, spec: extract)
    return asked


@pytest.fixture
def dataset(make_faces):
    return open_dataset(make_faces(20))


def test_features_are_those_of_the_picture_and_of_its_mirror_image(dataset, loads, backbone):
    features = load_features(dataset.folder, dataset.faces, WEIGHTS)

    assert features.values.shape == (20, 2, 2048)
    assert features.values.dtype == np.float32
    assert features.skipped == []
    rgb = prepare(read_image(dataset.path(dataset.faces["file"][17])), WEIGHTS.spec)
    views = np.stack([rgb, rgb[:, ::-1]]).astype(np.float32)
    np.testing.assert_allclose(
        features.values[17], np.asarray(backbone(views, training=False)), rtol=1e-3, atol=1e-3
    )


def test_second_time_nothing_is_computed_and_rows_follow_the_faces(dataset, loads):
    first = load_features(dataset.folder, dataset.faces, WEIGHTS)
    turned = dataset.faces[::-1]
    assert count_missing(turned, WEIGHTS) == 0
    second = load_features(dataset.folder, turned, WEIGHTS)
    assert len(loads) == 1
    np.testing.assert_array_equal(first.values, second.values[::-1])


def test_new_faces_alone_are_computed(dataset, loads):
    seen = []
    load_features(dataset.folder, dataset.faces[:15], WEIGHTS)
    assert count_missing(dataset.faces, WEIGHTS) == 5
    load_features(
        dataset.folder, dataset.faces, WEIGHTS, on_progress=lambda *pair: seen.append(pair)
    )
    assert seen == [(15, 20), (20, 20)]


def test_same_content_is_computed_once(make_faces, loads, monkeypatch):
    folder = make_faces(3)
    first = sorted(folder.iterdir())[0]
    (folder / f"9_{first.name.split('_', 1)[1]}").write_bytes(first.read_bytes())
    faces = open_dataset(folder).faces
    read = []
    monkeypatch.setattr(
        "agegender.training.loader.read_image",
        lambda data, name: read.append(name) or read_image(data, name=name),
    )
    features = load_features(folder, faces, WEIGHTS)
    assert len(read) == 3
    assert features.usable.all()


@pytest.mark.parametrize(
    "other",
    [
        BackboneWeights("x", None, "0" * 64, WEIGHTS.spec, False),
        BackboneWeights("x", None, WEIGHTS.sha256, InputSpec(48), False),
        BackboneWeights("x", None, WEIGHTS.sha256, InputSpec(32, 0.5), False),
    ],
)
def test_other_weights_size_or_crop_have_a_cache_of_their_own(dataset, loads, other):
    load_features(dataset.folder, dataset.faces, WEIGHTS)
    assert count_missing(dataset.faces, other) == 20


def test_other_preprocessing_has_a_cache_of_its_own(dataset, loads, monkeypatch):
    load_features(dataset.folder, dataset.faces, WEIGHTS)
    monkeypatch.setattr(module, "PREPROCESSING_VERSION", "another")
    assert count_missing(dataset.faces, WEIGHTS) == 20


def test_unreadable_missing_and_changed_files_are_skipped_and_named(dataset, loads):
    files = dataset.faces["file"].tolist()
    dataset.path(files[0]).write_bytes(b"")
    dataset.path(files[1]).unlink()
    dataset.path(files[2]).write_bytes(dataset.path(files[3]).read_bytes())

    features = load_features(dataset.folder, dataset.faces, WEIGHTS)

    assert features.skipped == files[:3]
    assert features.usable.tolist() == [False] * 3 + [True] * 17
    assert features.values.shape == (17, 2, 2048)
    assert isinstance(features.values, np.memmap), "not a copy in memory"
    others = load_features(dataset.folder, dataset.faces[3:], WEIGHTS)
    assert np.array_equal(features.values, others.values)
    load_features(dataset.folder, dataset.faces, WEIGHTS)
    assert len(loads) == 1, "files that cannot be read must not load the network each time"


def test_stop_keeps_what_is_done(dataset, loads):
    with pytest.raises(StoppedError, match="16 of 20"):
        load_features(dataset.folder, dataset.faces, WEIGHTS, should_stop=lambda: True)
    assert count_missing(dataset.faces, WEIGHTS) == 4


def test_half_written_and_damaged_parts_are_not_read(dataset, loads):
    load_features(dataset.folder, dataset.faces, WEIGHTS)
    folder = FeatureCache(WEIGHTS).folder
    (part,) = folder.glob("part-*.npz")
    whole = part.read_bytes()
    (folder / ".part-1-x").mkdir()
    (folder / ".part-1-x" / "part-1.npz").write_bytes(whole)
    part.write_bytes(whole[: len(whole) // 2])
    assert count_missing(dataset.faces, WEIGHTS) == 20

    features = load_features(dataset.folder, dataset.faces, WEIGHTS)

    assert features.usable.all()
    assert len(loads) == 2


def test_part_with_flipped_bits_is_removed_with_a_sentence(dataset, loads):
    load_features(dataset.folder, dataset.faces, WEIGHTS)
    (part,) = FeatureCache(WEIGHTS).folder.glob("part-*.npz")
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 0xFF
    part.write_bytes(data)
    with pytest.raises(StorageError, match="damaged and was removed"):
        load_features(dataset.folder, dataset.faces, WEIGHTS)
    assert load_features(dataset.folder, dataset.faces, WEIGHTS).usable.all()


def test_full_disk_is_one_sentence_and_earlier_parts_stay(dataset, loads, monkeypatch):
    load_features(dataset.folder, dataset.faces[:10], WEIGHTS)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(StorageError, match="disk is full"):
        load_features(dataset.folder, dataset.faces, WEIGHTS)
    assert count_missing(dataset.faces, WEIGHTS) == 10


def test_network_is_traced_once_whatever_the_number_of_faces(extract):
    image = np.full((32, 32, 3), 9, np.uint8)
    alone = extract([image])
    full = extract([image] * module.BATCH_FACES)
    assert alone.shape == (1, 2, 2048)
    np.testing.assert_allclose(full[-1], alone[0], rtol=1e-4, atol=1e-5)
    variables = inspect.getclosurevars(extract).nonlocals
    compiled = inspect.getclosurevars(variables["both_views"]).nonlocals["both_views"]
    assert compiled.experimental_get_tracing_count() == 1


KILLED = """
import sys, time
from pathlib import Path
from agegender.dataset.dataset import open_dataset
from agegender.model.weights import find_weights
from agegender.training import features

features.PART_SECONDS = 0
write = features.FeatureCache.write
def slow(cache):
    write(cache)
    print("part", flush=True)
    time.sleep(1)
features.FeatureCache.write = slow
dataset = open_dataset(Path(sys.argv[1]))
features.load_features(dataset.folder, dataset.faces, find_weights("random:32"))
"""


def test_killed_extraction_loses_only_the_last_part(make_faces, loads):
    folder = make_faces(60)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=PROJECT_DIR,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"part\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()

    dataset = open_dataset(folder)
    left = count_missing(dataset.faces, WEIGHTS)
    assert left in (60 - 16, 60 - 32)
    assert load_features(dataset.folder, dataset.faces, WEIGHTS).usable.all()
    assert count_missing(dataset.faces, WEIGHTS) == 0


def test_gathering_many_faces_stays_within_the_map(dataset, loads):
    load_features(dataset.folder, dataset.faces, WEIGHTS)
    began = time.monotonic()
    hashes = dataset.faces["sha256"].tolist() * 100
    values = FeatureCache(WEIGHTS).gather(hashes)
    assert isinstance(values, np.memmap)
    np.testing.assert_array_equal(values[:20], values[-20:])
    assert time.monotonic() - began < 20
    assert not [path for path in Path(FeatureCache(WEIGHTS).folder).iterdir() if "tmp" in path.name]
