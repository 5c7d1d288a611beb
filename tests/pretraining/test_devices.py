"""Several devices compute what one computes (with JAX; TensorFlow takes one)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agegender.pretraining.devices import shared_among_devices
from agegender.pretraining.recipe import Recipe, Stage

SCRIPT = """
import json, sys

from pathlib import Path

import keras
import numpy as np

from agegender.pretraining.devices import shared_among_devices
from agegender.pretraining.network import averaged, compile_network
from agegender.pretraining.pretrain import load_checkpoint, save_checkpoint
from agegender.pretraining.recipe import Recipe, Stage

recipe = Recipe(
    (Stage(8, 1, ("utkface",), 1e-2, 1e-2, 8, views=2),),
    steadiness_weight=1.0,
    average_momentum=0.9,
)


def losses(file):
    keras.utils.set_random_seed(1)
    pixels = keras.Input((8, 8, 3))
    convolved = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(pixels))
    features = keras.layers.GlobalAveragePooling2D()(convolved)
    outputs = {
        name: keras.layers.Dense(count, activation="softmax", name=name)(features)
        for name, count in (("age", 101), ("gender", 2), ("race", 5))
    }
    outputs["agreement"] = outputs["age"]
    outputs["steadiness"] = keras.layers.Identity(name="steadiness")(features)
    network = keras.Model(pixels, outputs)
    compile_network(network, recipe, [(0, 1e-2)])
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 8, 8, 3)).astype("uint8")
    labels = {name: np.arange(8.0)[:, None] % 2 for name in outputs}
    weights = {name: np.linspace(0.5, 1, 8) for name in outputs}
    found = [float(network.train_on_batch(images, labels, weights)[0]) for _ in range(3)]
    # What an epoch's end does, and a resume after it.
    with averaged(network):
        ages = network.predict_on_batch(images)["age"]
    save_checkpoint(network, file)
    load_checkpoint(network, file)
    found.append(float(network.train_on_batch(images, labels, weights)[0]))
    kernel = network.trainable_variables[0].value
    return {"losses": found, "ages": ages.tolist(), "devices": len(kernel.sharding.device_set)}


file = Path(sys.argv[1]) / "checkpoint.weights.h5"
alone = losses(file)
with shared_among_devices(recipe) as count:
    print(json.dumps({"count": count, "alone": alone, "shared": losses(file)}))
"""


def test_devices_share_each_step_and_compute_what_one_does(tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="jax is not installed: pip install -r requirements-dev.txt")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            # Of three, two can share batches of 8 and 128 equally.
            "XLA_FLAGS": "--xla_force_host_platform_device_count=3",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["count"] == 2
    assert (found["alone"]["devices"], found["shared"]["devices"]) == (1, 2)
    for name in ("losses", "ages"):
        np.testing.assert_allclose(found["shared"][name], found["alone"][name], rtol=1e-4)


def test_tensorflow_computes_on_one_device() -> None:
    recipe = Recipe((Stage(32, 1, ("utkface",), 1e-3, 1e-4, 8),))
    with shared_among_devices(recipe) as count:
        assert count == 1
