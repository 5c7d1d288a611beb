"""The Training page's settings: the form, and those of a run laid out for reading."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from agegender.config import IMAGE_SIZE
from agegender.dataset.dataset import Dataset
from agegender.dataset.exclusion import kept_exclusions
from agegender.model.weights import (
    IMAGENET,
    RANDOM,
    SHIPPED,
    backbone_label,
    default_weights,
    lasting_name,
)
from agegender.training.config import AGE_LOSSES, MAX_EPOCHS, TrainConfig

SMALL_RANDOM = f"{RANDOM}:64"
FROM_FILE = "file"

BACKBONES = {
    SHIPPED: "Shipped with the app, trained on faces",
    IMAGENET: "ImageNet, by Keras (94 MB, fetched once)",
    RANDOM: f"Random, {IMAGE_SIZE} px: untrained, for trying things out",
    SMALL_RANDOM: "Random, 64 px: untrained, and fast",
    FROM_FILE: "A file …",
}

AGE_LOSS_NAMES = {"l1": "L1 (absolute error)", "huber": "Huber (quadratic near zero)"}


def choose_settings(dataset: Dataset) -> TrainConfig | None:
    """Show the settings; return them, or None while they make no sense."""
    default = default_weights()
    names = [name for name in BACKBONES if name != SHIPPED or default == SHIPPED]
    left, right = st.columns(2, gap="medium")
    with left:
        backbone = st.selectbox(
            "Backbone",
            names,
            index=names.index(default),
            format_func=BACKBONES.__getitem__,
            help="The frozen ResNet50 that turns a face into 2,048 numbers. With random weights "
            "everything works, but nothing that comes out means anything.",
        )
        if backbone == FROM_FILE:
            backbone = st.text_input(
                "File of backbone weights",
                placeholder="/home/me/backbone.safetensors",
                help="A safetensors file that this project saved, with its JSON beside it.",
            ).strip()
            if not backbone:
                return None
            # The training has a process of its own, which may stand in another folder.
            backbone = lasting_name(backbone)
    with right:
        total = len(dataset.of("train"))
        limit = st.number_input(
            "Faces to learn from, at most",
            min_value=2,
            max_value=max(2, total),
            value=None,
            step=50,
            placeholder=f"all {total:,}",
            help="Drawn at random. Few faces make a quick trial, and a worse model.",
        )
        exclude = choose_exclusions()
    first, second, third = st.columns(3, gap="medium")
    usual = TrainConfig(dataset=str(dataset.folder), backbone=backbone)
    epochs = first.number_input(
        "Epochs, at most",
        1,
        MAX_EPOCHS,
        usual.epochs,
        help="Passes over the train faces. The heads learn on kept features, so an epoch takes "
        "a few seconds at most. The best epoch is kept.",
    )
    batch_size = second.select_slider(
        "Batch size",
        (16, 32, 64, 128, 256, 512, 1024),
        usual.batch_size,
        help="Faces in one step. Smaller is noisier and slower.",
    )
    learning_rate = third.select_slider(
        "Learning rate",
        (1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
        usual.learning_rate,
        format_func=lambda value: f"{value:g}",
        help="Size of a step at the start; it falls to zero along a cosine. Lower it when the "
        "curves jump about.",
    )
    with st.expander("More settings", icon=":material/tune:"):
        more = choose_more_settings(usual)
    try:
        return TrainConfig(
            dataset=str(dataset.folder),
            backbone=backbone,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            limit=limit if limit is None or limit < total else None,
            exclude=exclude,
            **more,
        )
    except ValueError as error:
        st.error(f"{error}.", icon=":material/error:")
        return None


def choose_exclusions() -> str | None:
    """Let the visitor choose a list of faces to leave out, where one has been saved."""
    lists = {path.stem: str(path.resolve()) for path in kept_exclusions()}
    if not lists:
        return None
    chosen = st.selectbox(
        "Leave out",
        list(lists),
        index=None,
        placeholder="no face",
        help="Faces that were marked on the Dataset page, under Label quality. They are taken "
        "from the train faces only.",
    )
    return None if chosen is None else lists[chosen]


def choose_more_settings(usual: TrainConfig) -> dict[str, float | int | str]:
    """Show the settings that few people change."""
    first, second, third = st.columns(3, gap="medium")
    return {
        "dropout": first.slider(
            "Dropout",
            0.0,
            0.8,
            usual.dropout,
            0.05,
            help="Share of units silenced while learning. More keeps the heads from learning "
            "faces by heart.",
        ),
        "patience": second.number_input(
            "Patience, epochs",
            1,
            MAX_EPOCHS,
            usual.patience,
            help="Training ends early after so many epochs without a better validation loss.",
        ),
        "age_loss": third.selectbox(
            "Age loss",
            AGE_LOSSES,
            index=AGE_LOSSES.index(usual.age_loss),
            format_func=AGE_LOSS_NAMES.__getitem__,
            help="L1 is what the mean absolute error measures.",
        ),
        "age_loss_weight": first.number_input(
            "Weight of the age loss, per year",
            0.0,
            1000.0,
            usual.age_loss_weight,
            0.05,
            help="At 0.1, ten years of error weigh as much as a gender loss of 1.",
        ),
        "age_balance": first.slider(
            "Balance of age bands",
            0.0,
            1.0,
            usual.age_balance,
            0.05,
            help="0 counts every face alike. At 1, people of 51 and over, who are few and the "
            "hardest, get about two thirds of the weight in the age loss.",
        ),
        "gender_loss_weight": second.number_input(
            "Weight of the gender loss",
            0.0,
            1000.0,
            usual.gender_loss_weight,
            0.1,
            help="0 trains for age alone.",
        ),
        "fine_tune_epochs": third.number_input(
            "Fine-tuning, epochs",
            0,
            MAX_EPOCHS,
            usual.fine_tune_epochs,
            help="Afterwards also trains the top of the backbone. Needs a GPU: on a CPU "
            "an epoch over UTKFace takes hours.",
        ),
    }


def settings_table(config: TrainConfig) -> pd.DataFrame:
    """Lay out the settings of a run for reading."""
    rows = [
        ("Dataset", Path(config.dataset).name),
        ("Backbone", backbone_label(config.backbone)),
        ("Faces, at most", "all" if config.limit is None else f"{config.limit:,}"),
        ("Left out", "none" if config.exclude is None else Path(config.exclude).name),
        ("Epochs, at most", str(config.epochs)),
        ("Patience, epochs", str(config.patience)),
        ("Batch size", str(config.batch_size)),
        ("Learning rate", f"{config.learning_rate:g}"),
        ("Dropout", f"{config.dropout:g}"),
        ("Age loss", AGE_LOSS_NAMES[config.age_loss]),
        ("Weight of the age loss", f"{config.age_loss_weight:g} per year"),
        ("Balance of age bands", f"{config.age_balance:g}"),
        ("Weight of the gender loss", f"{config.gender_loss_weight:g}"),
        ("Fine-tuning, epochs", str(config.fine_tune_epochs)),
    ]
    return pd.DataFrame(rows, columns=["Setting", "Value"])
