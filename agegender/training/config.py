"""The settings of a training."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields

from agegender.config import SEED
from agegender.model.weights import default_weights

AGE_LOSSES = ("l1", "huber")

MAX_EPOCHS = 1000


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides how a training goes; kept as JSON in its run.

    Attributes:
        dataset: Folder of labelled faces.
        backbone: Name of the backbone's weights (see `model.weights`).
        epochs: Passes over the train faces, at most.
        batch_size: Faces a step.
        learning_rate: AdamW's at the start; it falls to zero along a cosine.
        dropout: Share of units silenced after each dense layer, 0 to below 1.
        age_loss: "l1" (absolute error, which is what MAE measures) or "huber"
            (squared below `heads.HUBER_DELTA_YEARS`, so calmer near zero).
        age_loss_weight: Weight of the age loss, per year.
        age_balance: How far the age bands are weighted in it, from 0 (every face counts
            alike) to 1 (the oldest get two thirds; see `balance.band_weights`). Only in
            training: the validation loss counts every face alike.
        gender_loss_weight: Weight of gender's cross-entropy.
        patience: Epochs without a better validation loss before training
            ends; the best epoch's weights are kept in any case.
        fine_tune_epochs: Passes that also train the top of the backbone after
            the heads; 0 leaves it frozen. Wants a GPU.
        limit: Train on at most this many faces, drawn by the seed, and
            validate on proportionately many; None for all.
        exclude: A list of train faces to leave out (see `dataset.exclusion`),
            with its full path; None to leave out none.
        seed: Of all chance.
    """

    dataset: str
    backbone: str = field(default_factory=default_weights)
    epochs: int = 20
    batch_size: int = 256
    learning_rate: float = 1e-3
    dropout: float = 0.05
    age_loss: str = "l1"
    age_loss_weight: float = 0.1
    age_balance: float = 1.0
    gender_loss_weight: float = 1.0
    patience: int = 20
    fine_tune_epochs: int = 0
    limit: int | None = None
    exclude: str | None = None
    seed: int = SEED

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience", "fine_tune_epochs", "limit", "seed"):
            value = getattr(self, name)
            # True counts as the number 1 in Python, but is no number of epochs.
            if type(value) is not int and not (name == "limit" and value is None):
                raise ValueError(f"{name} is {value!r}, but must be a whole number")
        _check_between("epochs", self.epochs, 1, MAX_EPOCHS)
        _check_between("batch_size", self.batch_size, 1, 65536)
        _check_between("patience", self.patience, 1, MAX_EPOCHS)
        _check_between("fine_tune_epochs", self.fine_tune_epochs, 0, MAX_EPOCHS)
        _check_between("age_loss_weight", self.age_loss_weight, 0, 1000)
        _check_between("gender_loss_weight", self.gender_loss_weight, 0, 1000)
        _check_between("age_balance", self.age_balance, 0, 1)
        if not 0 < self.learning_rate <= 1:
            raise ValueError(
                f"learning_rate is {self.learning_rate}, but must be above 0 and at most 1"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}, but must be at least 0 and below 1")
        if self.age_loss not in AGE_LOSSES:
            raise ValueError(
                f"age_loss is {self.age_loss!r}, but must be one of {', '.join(AGE_LOSSES)}"
            )
        if self.age_loss_weight == 0 == self.gender_loss_weight:
            raise ValueError("the weights of the age and gender losses are both 0; raise one")
        if self.limit is not None:
            _check_between("limit", self.limit, 2, 10**9)
        # Keras takes no other.
        _check_between("seed", self.seed, 0, 2**32 - 1)

    def to_json(self) -> str:
        """Write every setting as JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> TrainConfig:
        """Read what `to_json` wrote.

        Raises:
            ValueError: If it is not JSON, or a setting is missing, unknown or
                out of its range.
        """
        values = json.loads(text)
        names = {setting.name for setting in fields(cls)}
        if not isinstance(values, dict) or "dataset" not in values or not values.keys() <= names:
            raise ValueError("the settings of a training were expected")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"a setting has the wrong type ({error})") from error


def _check_between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}, but must be between {low} and {high}")
