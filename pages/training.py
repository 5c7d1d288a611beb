"""Training: settings, a live run, and the runs before it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from agegender.config import IMAGE_SIZE
from agegender.dataset.dataset import Dataset
from agegender.model.imagenet import imagenet_file
from agegender.model.weights import IMAGENET, BackboneWeights, find_weights
from agegender.training.config import TrainConfig
from agegender.training.estimate import estimate_seconds
from agegender.training.features import count_missing
from agegender.training.run import Run
from agegender.training.runs import list_runs, start_run
from agegender.training.trainer import choose_faces
from pages import shared
from pages.current_dataset import demo_badge, need_dataset
from pages.navigation import header
from pages.training_runs import show_runs, watch
from pages.training_settings import choose_settings


@st.cache_data(ttl=30, max_entries=16, show_spinner=False)
def count_work(
    key: tuple[object, ...], _dataset: Dataset, _config: TrainConfig, _weights: BackboneWeights
) -> tuple[int, int]:
    """Count what there is to do; kept for a while, since it reads every kept feature's name.

    Args:
        key: What decides it, since the others are not hashed.
        _dataset: The faces.
        _config: The settings.
        _weights: The backbone that they name.

    Returns:
        The train faces, and the faces whose features are still to be computed.
    """
    train, validation = choose_faces(_dataset, _config)
    return len(train), count_missing(pd.concat([train, validation]), _weights)


def show_estimate(dataset: Dataset, config: TrainConfig) -> None:
    """Say how long it will take, before it is started."""
    if config.backbone == IMAGENET and not imagenet_file().exists():
        st.caption("The weights are fetched first; after that the time can be estimated.")
        return
    weights = find_weights(config.backbone)
    key = (
        str(dataset.folder), dataset.split_hash, config.limit, config.exclude, config.seed,
        weights.sha256, weights.spec.size, weights.spec.crop,
    )  # fmt: skip
    train_faces, missing = count_work(key, dataset, config, weights)
    seconds = estimate_seconds(
        config, size=weights.spec.size, train_faces=train_faces, missing=missing
    )
    if missing:
        features = (
            "It includes the features of faces, which are kept: the next training with the same "
            "backbone is quicker."
        )
    else:
        features = "The features of these faces are cached already."
    st.caption(f"About **{shared.duration(seconds)}** on this computer. {features}")
    if not weights.has_skill:
        st.markdown(
            ":orange[:material/science: A random backbone shows that the pipeline works, "
            "not that it can tell an age or a gender.]"
        )


def show_start(dataset: Dataset, busy: Run | None) -> None:
    """Show the settings with the button that starts a training."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader("New training", anchor=False, width="content")
            demo_badge(dataset)
        st.caption(f"On `{dataset.folder.name}`. The defaults are good.")
        config = choose_settings(dataset)
        if config is None:
            return
        with shared.errors_as_messages():
            show_estimate(dataset, config)
            if st.button(
                "Start training",
                type="primary",
                icon=":material/play_arrow:",
                disabled=busy is not None,
                help="One training at a time." if busy else None,
            ):
                with st.spinner("Starting …"):
                    start_run(config)
                st.rerun()


# -- The network ----------------------------------------------------------------------


def show_architecture() -> None:
    """Show the table of layers, built when it is asked for: that takes TensorFlow."""
    card = st.expander("The network, layer by layer", icon=":material/lan:", on_change="rerun")
    if not card.open:
        return
    with card:
        table, total, trainable = architecture()
        st.dataframe(table, hide_index=True)
        st.caption(
            f"{total:,} parameters, of which {trainable:,} are trained. The backbone is ResNet50 "
            "(He et al., CVPR 2016); its preprocessing is part of the graph."
        )


@st.cache_data(show_spinner="Building the network; TensorFlow takes some seconds …")
def architecture() -> tuple[pd.DataFrame, int, int]:
    """Build the network and describe it.

    Returns:
        The rows, all parameters, and those of them that are trained.
    """
    from agegender.model.architecture import architecture_table, build_model

    rows = architecture_table(build_model(IMAGE_SIZE))
    table = pd.DataFrame(
        {
            "Layer": [row.layer for row in rows],
            "Output": [" x ".join(map(str, row.output_shape)) for row in rows],
            "Parameters": [f"{row.parameters:,}" for row in rows],
        }
    )
    return table, sum(row.parameters for row in rows), sum(row.parameters for row in rows[1:])


header("Training", "Two heads learn age and gender on top of a frozen ResNet50.")
faces = need_dataset()
alive = next((run for run in list_runs() if run.state.status == "running"), None)
if alive is not None:
    watch(alive.id)
show_start(faces, alive)
# Listed anew: a run that failed to start is among them.
others = [run for run in list_runs() if alive is None or run.id != alive.id]
if others or alive is None:
    show_runs(others)
show_architecture()
