"""Pretraining of the backbone on faces, from nothing.

The network learns the distribution of ages (label distribution learning: Gao
et al., "Deep Label Distribution Learning with Label Ambiguity", IEEE TIP 2017;
with the L1 loss of its mean as in "Age Estimation Using Expectation of Label
Distribution Learning", IJCAI 2018), gender and race group together, in stages
of growing image size. Only the backbone is kept; its own heads are thrown away.

An interrupted pretraining goes on from its last checkpoint with the pictures,
changes and learning rate that it would have had: all chance is drawn from the
seed, the epoch and the sample's number, and the step is the optimizer's own
counter, saved in the same file as the weights.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from agegender.config import ADULT_AGE_YEARS, GENDER_NAMES, RACE_NAMES, SEED
from agegender.images import read_image
from agegender.model.architecture import build_backbone
from agegender.model.preprocessing import InputSpec, prepare
from agegender.storage import replacing
from agegender.training.augmentation import augment

if TYPE_CHECKING:
    from numpy.typing import NDArray

AGE_CLASSES = 101
"""Ages 0..100; older labels count as 100."""

CHECKPOINT_NAME = "checkpoint.weights.h5"
METRICS_NAME = "metrics.csv"
CONFIG_NAME = "config.json"
SAMPLES_NAME = "samples.parquet"

CHECKPOINT_SECONDS = 240


@dataclass(frozen=True)
class Stage:
    """Some epochs at one image size.

    Attributes:
        size: Side of the input, in pixels.
        epochs: Passes over the stage's samples.
        sources: Names of the sets of faces that are used.
        learning_rate: At the stage's first step.
        final_learning_rate: At its last step; linear between.
        batch_size: Faces a step.
    """

    size: int
    epochs: int
    sources: tuple[str, ...]
    learning_rate: float
    final_learning_rate: float
    batch_size: int


@dataclass(frozen=True)
class PretrainConfig:
    """The recipe. The defaults are those of the shipped weights.

    Attributes:
        stages: In order of training.
        crop: Share of the frame that the model sees (`InputSpec.crop`).
        weight_decay: AdamW's.
        warmup_steps: Steps over which the first learning rate is reached.
        age_sigma_years: Width of the Gaussian that an age label becomes.
        age_l1_weight: Weight of the L1 loss of the mean age, per year.
        gender_weight: Weight of gender's cross-entropy.
        race_weight: Weight of the race group's cross-entropy.
        seed: Of all chance.
    """

    stages: tuple[Stage, ...]
    crop: float = 0.875
    weight_decay: float = 0.05
    warmup_steps: int = 300
    age_sigma_years: float = 2.5
    age_l1_weight: float = 0.1
    gender_weight: float = 2.0
    race_weight: float = 0.5
    seed: int = SEED

    @classmethod
    def from_json(cls, text: str) -> PretrainConfig:
        """Read what `to_json` wrote."""
        values = json.loads(text)
        stages = tuple(
            Stage(**{**stage, "sources": tuple(stage["sources"])}) for stage in values["stages"]
        )
        return cls(**{**values, "stages": stages})

    def to_json(self) -> str:
        """Write every setting as JSON."""
        return json.dumps(asdict(self), indent=2)


@dataclass(frozen=True)
class Epoch:
    """One pass over a stage's samples, in the order of the whole plan."""

    number: int
    stage: Stage
    first_step: int
    steps: int


def plan_epochs(config: PretrainConfig, sources: pd.Series[str]) -> list[Epoch]:
    """Lay out every epoch of a recipe.

    Args:
        config: The recipe.
        sources: Name of the set of each sample.

    Returns:
        The epochs with their first optimizer step and number of steps.
    """
    epochs: list[Epoch] = []
    step = 0
    for stage in config.stages:
        steps = int(sources.isin(stage.sources).sum()) // stage.batch_size
        for _ in range(stage.epochs):
            epochs.append(Epoch(len(epochs), stage, step, steps))
            step += steps
    return epochs


def learning_rate_knots(config: PretrainConfig, epochs: list[Epoch]) -> list[tuple[int, float]]:
    """Return (step, learning rate) points between which the rate is linear."""
    knots: list[tuple[int, float]] = [(0, 0.0)]
    for stage in config.stages:
        own = [epoch for epoch in epochs if epoch.stage is stage]
        if not own:
            continue
        start = max(own[0].first_step, config.warmup_steps if len(knots) == 1 else 0)
        knots.append((start, stage.learning_rate))
        knots.append((own[-1].first_step + own[-1].steps, stage.final_learning_rate))
    return knots


def precision_policy() -> str:
    """Choose the fastest precision that this machine computes in hardware.

    Returns:
        "mixed_bfloat16" on processors with AVX-512 BF16 or AMX and on GPUs of
        compute capability 8 and above, "mixed_float16" on older GPUs,
        "float32" elsewhere.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability")
        return "mixed_bfloat16" if (capability or (0, 0)) >= (8, 0) else "mixed_float16"
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return "float32"
    return "mixed_bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else "float32"


def build_network(config: PretrainConfig) -> Any:
    """Build and compile the backbone with the pretraining heads, for any image size.

    Args:
        config: The recipe.

    Returns:
        A `keras.Model` from RGB 0..255 to `age` (probabilities of the ages
        0..100, shape (batch, 101)), `gender` (batch, 2) and `race` (batch, 5).
    """
    import keras

    keras.mixed_precision.set_global_policy(precision_policy())
    backbone = _with_fused_normalization(build_backbone(None))
    heads = {"age": AGE_CLASSES, "gender": len(GENDER_NAMES), "race": len(RACE_NAMES)}
    outputs = {
        name: keras.layers.Dense(count, activation="softmax", dtype="float32", name=name)(
            backbone.output
        )
        for name, count in heads.items()
    }
    return keras.Model(backbone.input, outputs, name="pretraining")


def _with_fused_normalization(backbone: Any) -> Any:
    """Rebuild a model with batch normalisation computed by TensorFlow's fused kernel.

    Keras spells the training step out in many small operations; on a
    processor the fused kernel makes the whole step half again as fast. The
    layers' names, weights and results stay the same.
    """
    import keras
    import tensorflow as tf

    class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
        def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
            if not training:
                return super().call(inputs, training=training, mask=mask)
            outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
            )
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
            return outputs

    def clone(layer: Any) -> Any:
        kind = type(layer)
        if kind is keras.layers.BatchNormalization:
            kind = FusedBatchNormalization
        return kind.from_config(layer.get_config())

    return keras.models.clone_model(backbone, clone_function=clone)


def age_loss(config: PretrainConfig) -> Callable[[Any, Any], Any]:
    """Make the loss of the age distribution.

    Args:
        config: For `age_sigma_years` and `age_l1_weight`.

    Returns:
        A function of ages in years, shape (batch, 1), and probabilities,
        shape (batch, 101), that gives a loss for each sample: cross-entropy
        with a Gaussian around the label, plus the weighted absolute error of
        the mean.
    """
    from keras import ops

    ages = np.arange(AGE_CLASSES, dtype="float32")[None]

    def loss(y_true: Any, y_pred: Any) -> Any:
        label = ops.minimum(ops.cast(y_true, "float32"), AGE_CLASSES - 1.0)
        target = ops.exp(-0.5 * ((ages - label) / config.age_sigma_years) ** 2)
        target = target / ops.sum(target, axis=-1, keepdims=True)
        cross_entropy = -ops.sum(target * ops.log(y_pred + 1e-7), axis=-1)
        mean = ops.sum(y_pred * ages, axis=-1, keepdims=True)
        return cross_entropy + config.age_l1_weight * ops.abs(mean - label)[:, 0]

    return loss


def compile_network(network: Any, config: PretrainConfig, knots: list[tuple[int, float]]) -> None:
    """Attach the optimizer, its learning rates and the losses."""
    import keras

    class PiecewiseLinear(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        def __call__(self, step: Any) -> Any:
            from keras import ops

            step = ops.cast(step, "float32")
            rate = ops.zeros(()) + knots[-1][1]
            for (start, low), (end, high) in reversed(list(itertools.pairwise(knots))):
                part = (step - start) / max(end - start, 1)
                rate = ops.where(step < end, low + part * (high - low), rate)
            return rate

    network.compile(
        keras.optimizers.AdamW(PiecewiseLinear(), weight_decay=config.weight_decay),
        loss={
            "age": age_loss(config),
            "gender": "sparse_categorical_crossentropy",
            "race": "sparse_categorical_crossentropy",
        },
        loss_weights={"age": 1.0, "gender": config.gender_weight, "race": config.race_weight},
        jit_compile=False,
    )


def frame_side(size: int, crop: float) -> int:
    """Return the side of the whole frame when its crop is `size` pixels."""
    return round(size / crop)


def load_pixels(samples: pd.DataFrame, side: int, path: Path) -> NDArray[np.uint8]:
    """Decode every sample once into a compact array on disk.

    Args:
        samples: With the column `file`.
        side: Side of the stored frames, in pixels.
        path: The array's file (.npy); reused when it is there.

    Returns:
        Memory-mapped RGB pixels, uint8, shape (n, side, side, 3).
    """
    if not path.exists():
        with replacing(path) as part:
            pixels = np.lib.format.open_memmap(
                part, mode="w+", dtype=np.uint8, shape=(len(samples), side, side, 3)
            )
            for row, file in enumerate(samples["file"]):
                pixels[row] = prepare(read_image(Path(file)), InputSpec(side))
            pixels.flush()
    return np.load(path, mmap_mode="r")


def batches(
    samples: pd.DataFrame, pixels: NDArray[np.uint8], epoch: Epoch, *, seed: int, skip: int = 0
) -> Iterator[tuple[Any, Any, Any]]:
    """Yield the augmented batches of one epoch.

    Args:
        samples: With `source`, `age` (NaN where unknown), `gender` and `race`
            (-1 where unknown).
        pixels: Frames of the samples, as `load_pixels` gives.
        epoch: Which epoch.
        seed: Of all chance.
        skip: Batches at the start that are already done.

    Yields:
        (RGB float32 (batch, size, size, 3), labels, sample weights); the
        weight of an unknown label is 0.
    """
    stage = epoch.stage
    usable = np.flatnonzero(samples["source"].isin(stage.sources))
    order = np.random.default_rng((seed, epoch.number)).permutation(usable)
    columns = {name: samples[name].to_numpy() for name in ("age", "gender", "race")}
    for step in range(skip, epoch.steps):
        rows = order[step * stage.batch_size : (step + 1) * stage.batch_size]
        images = np.stack(
            [
                augment(
                    pixels[row], stage.size, np.random.default_rng((seed, epoch.number, int(row)))
                )
                for row in rows
            ]
        )
        labels, weights = {}, {}
        for name, column in columns.items():
            values = column[rows].astype("float32")
            known = ~np.isnan(values) & (values >= 0)
            labels[name] = np.where(known, values, 0)[:, None]
            weights[name] = known.astype("float32")
        yield images.astype("float32"), labels, weights


def evaluate_network(
    network: Any, samples: pd.DataFrame, pixels: NDArray[np.uint8], size: int
) -> dict[str, float]:
    """Measure age and gender on validation faces, flips averaged.

    Args:
        network: What `build_network` gave.
        samples: Validation samples with `age` and `gender`.
        pixels: Their frames.
        size: Side of the input, in pixels.

    Returns:
        `age_mae` in years, `gender_accuracy` and `adult_gender_accuracy`.
    """
    margin = (pixels.shape[1] - size) // 2
    ages, genders = [], []
    for start in range(0, len(samples), 128):
        part = pixels[start : start + 128, margin : margin + size, margin : margin + size]
        images = part.astype("float32")
        outputs = [network(view, training=False) for view in (images, images[:, :, ::-1])]
        ages.append(np.mean([np.asarray(output["age"]) for output in outputs], axis=0))
        genders.append(np.mean([np.asarray(output["gender"]) for output in outputs], axis=0))
    age = np.concatenate(ages) @ np.arange(AGE_CLASSES)
    correct = np.concatenate(genders).argmax(axis=1) == samples["gender"].to_numpy()
    adult = samples["age"].to_numpy() >= ADULT_AGE_YEARS
    return {
        "age_mae": float(np.abs(age - samples["age"].to_numpy()).mean()),
        "gender_accuracy": float(correct.mean()),
        "adult_gender_accuracy": float(correct[adult].mean()),
    }


def pretrain(
    folder: Path,
    *,
    on_epoch: Callable[[dict[str, Any]], None] = lambda row: None,
    on_step: Callable[[int, int, float], None] = lambda step, total, loss: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Train, or go on training, the recipe in a run folder.

    Args:
        folder: Holds the recipe (`config.json`) and the samples
            (`samples.parquet`, see `samples.py`); everything else is written here.
        on_epoch: Called with each new row of `metrics.csv`.
        on_step: Called with (step, all steps, loss) after each step.
        should_stop: Asked after each step; when true, a checkpoint is written
            and the function returns.

    Returns:
        The checkpoint, a Keras weights file of network and optimizer.
    """
    config = PretrainConfig.from_json((folder / CONFIG_NAME).read_text())
    samples = pd.read_parquet(folder / SAMPLES_NAME)
    train = samples[samples["split"] == "train"].reset_index(drop=True)
    validation = samples[samples["split"] == "validation"].reset_index(drop=True)
    epochs = plan_epochs(config, train["source"])
    total = epochs[-1].first_step + epochs[-1].steps

    network = build_network(config)
    compile_network(network, config, learning_rate_knots(config, epochs))
    checkpoint = folder / CHECKPOINT_NAME
    if checkpoint.exists():
        network.load_weights(checkpoint)
    step = int(network.optimizer.iterations)
    saved = time.monotonic()
    for epoch in epochs:
        if epoch.first_step + epoch.steps <= step:
            continue
        size = epoch.stage.size
        side = frame_side(size, config.crop)
        pixels = load_pixels(train, side, folder / f"train-{side}.npy")
        losses = []
        skip = step - epoch.first_step
        for images, labels, weights in _prefetch(
            batches(train, pixels, epoch, seed=config.seed, skip=skip)
        ):
            losses.append(float(network.train_on_batch(images, labels, weights)[0]))
            step += 1
            on_step(step, total, losses[-1])
            stopping = should_stop()
            if stopping or time.monotonic() - saved > CHECKPOINT_SECONDS:
                save_checkpoint(network, checkpoint)
                saved = time.monotonic()
            if stopping:
                return checkpoint
        save_checkpoint(network, checkpoint)
        held_out = load_pixels(validation, side, folder / f"validation-{side}.npy")
        row = {
            "epoch": epoch.number + 1,
            "size": size,
            "step": step,
            "loss": float(np.mean(losses)),
            **evaluate_network(network, validation, held_out, size),
            "time": time.time(),
        }
        metrics = folder / METRICS_NAME
        pd.DataFrame([row]).to_csv(metrics, mode="a", header=not metrics.exists(), index=False)
        on_epoch(row)
    return checkpoint


def save_checkpoint(network: Any, path: Path) -> None:
    """Write weights and optimizer so that the file is whole or unchanged."""
    with replacing(path) as part:
        network.save_weights(part)


def _prefetch(items: Iterator[Any]) -> Iterator[Any]:
    """Prepare the next items in a thread while the caller works on one."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        pending = [pool.submit(next, items, None) for _ in range(2)]
        while (item := pending.pop(0).result()) is not None:
            pending.append(pool.submit(next, items, None))
            yield item
