"""Training: settings, a live run, and the runs before it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from agegender.config import IMAGE_SIZE
from agegender.dataset.dataset import Dataset
from agegender.dataset.exclusion import kept_exclusions
from agegender.evaluation.charts import training_chart
from agegender.model.weights import (
    IMAGENET,
    RANDOM,
    SHIPPED,
    SHIPPED_FILE,
    BackboneWeights,
    default_weights,
    find_weights,
    imagenet_file,
    lasting_name,
)
from agegender.training.config import AGE_LOSSES, MAX_EPOCHS, TrainConfig
from agegender.training.estimate import estimate_seconds
from agegender.training.features import count_missing
from agegender.training.runs import (
    RESUMABLE,
    Run,
    RunState,
    delete_run,
    find_run,
    list_runs,
    resume_run,
    start_run,
    stop_run,
)
from agegender.training.trainer import choose_faces
from pages import shared

SMALL_RANDOM = f"{RANDOM}:64"
FROM_FILE = "file"

BACKBONES = {
    SHIPPED: "Shipped with the app, trained on faces",
    IMAGENET: "ImageNet, by Keras (94 MB, fetched once)",
    RANDOM: f"Random, {IMAGE_SIZE} px: plumbing, not skill",
    SMALL_RANDOM: "Random, 64 px: plumbing, not skill, and fast",
    FROM_FILE: "A file …",
}

AGE_LOSS_NAMES = {"l1": "L1 (absolute error)", "huber": "Huber (calmer near zero)"}

PHASES = {
    "starting": "Starting",
    "dataset": "Reading the faces",
    "features": "Computing features, once for each face",
    "heads": "Training the heads",
    "fine-tuning": "Fine-tuning the backbone",
}

STATUS_LOOKS = {
    "running": ("blue", ":material/play_circle:"),
    "finished": ("green", ":material/check_circle:"),
    "stopped": ("gray", ":material/pause_circle:"),
    "interrupted": ("orange", ":material/warning:"),
    "failed": ("red", ":material/error:"),
    "damaged": ("red", ":material/broken_image:"),
}

RUNS_SHOWN = 20


# -- Settings and start -------------------------------------------------------------


def choose_settings(dataset: Dataset) -> TrainConfig | None:
    """Show the settings; return them, or None while they make no sense."""
    names = [name for name in BACKBONES if name != SHIPPED or SHIPPED_FILE.exists()]
    left, right = st.columns(2, gap="medium")
    with left:
        backbone = st.selectbox(
            "Backbone",
            names,
            index=names.index(default_weights()),
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
            help="Ten years off weigh as much as one unit of gender loss at 0.1.",
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
            help="Afterwards also trains the top of the backbone. Wants a GPU: on a processor "
            "an epoch over UTKFace takes hours.",
        ),
    }


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
        features = "The features of these faces are kept from before."
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
            shared.demo_badge(dataset)
        st.caption(f"On `{dataset.folder.name}`. The settings that stand here are good ones.")
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


# -- The run at work ------------------------------------------------------------------


@st.fragment(run_every=1.5)
def watch(run_id: str) -> None:
    """Show the run at work, and draw the page anew when it has ended."""
    with shared.errors_as_messages():
        run = find_run(run_id)
        state = run.state
        if state.status != "running":
            st.rerun()
        with st.container(border=True):
            with st.container(
                horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
            ):
                st.subheader("At work", anchor=False, width="content")
                stopping = run.stop_file.exists()
                if not stopping and st.button(
                    "Stop", icon=":material/stop:", help="It can be resumed later."
                ):
                    stop_run(run)
                    stopping = True
                if stopping:
                    st.caption("Stopping …", width="content")
            share = min(state.done / state.total, 1.0) if state.total else 0.0
            st.progress(share, text=progress_text(state))
            st.caption("It goes on when you leave or reload the page, or end the app.")
            show_curves(run)


def progress_text(state: RunState) -> str:
    """Say what is being done, how far it is and how long it will take."""
    words = PHASES.get(state.phase, state.phase)
    if state.total:
        unit = {"heads": "epochs", "fine-tuning": "epochs", "dataset": "files"}.get(
            state.phase, "faces"
        )
        words += f": {state.done:,} of {state.total:,} {unit}"
    left = state.seconds_left()
    return words if left is None else f"{words}, about {shared.duration(left)} left"


def show_curves(run: Run) -> None:
    """Show loss, age error and gender accuracy, epoch by epoch."""
    history = run.metrics()
    if history.empty:
        st.caption("The curves appear with the first epoch of the heads.")
        return
    last = history.iloc[-1]
    with st.container(horizontal=True):
        for label, value in (
            ("Epoch", f"{last['epoch']:.0f}"),
            ("Validation MAE", shared.years(last["val_age_mae"])),
            ("Validation gender", shared.percent(last["val_gender_accuracy"])),
            ("Validation loss", f"{last['val_loss']:.3f}"),
        ):
            st.metric(label, value, width=140)
    measures = ("loss", "age_mae", "gender_accuracy")
    for column, measure in zip(st.columns(3), measures, strict=True):
        column.altair_chart(training_chart(history, measure), key=f"{run.id}-{measure}")


# -- The runs before ------------------------------------------------------------------


def show_runs(runs: list[Run]) -> None:
    """List the runs, newest first, each with its curves and what can be done with it."""
    st.subheader("Runs", anchor=False)
    if not runs:
        st.caption("None yet. What you train appears here and stays.")
        return
    for number, run in enumerate(runs[:RUNS_SHOWN]):
        with shared.errors_as_messages():
            show_run(run, expanded=number == 0)
    if len(runs) > RUNS_SHOWN:
        st.caption(f"{len(runs) - RUNS_SHOWN} older ones are not shown.")


def show_run(run: Run, *, expanded: bool) -> None:
    """Show one run."""
    state = run.state
    color, icon = STATUS_LOOKS[state.status]
    title = f":{color}[**{state.status}**]  {run.id}"
    if state.status != "damaged":
        title = f":{color}[**{state.status}**]  {shared.run_label(run)}{outcome(run)}"
    # Curves are drawn only for runs that are open.
    card = st.expander(title, expanded, icon=icon, key=f"run-{run.id}", on_change="rerun")
    if not card.open:
        return
    with card:
        if state.message and state.status != "finished":
            st.caption(state.message)
        if state.status != "damaged":
            show_curves(run)
        with st.container(horizontal=True, vertical_alignment="center"):
            if state.status == "finished" and st.button(
                "Evaluate it", icon=":material/monitoring:", key=f"evaluate-{run.id}"
            ):
                # The other pages show the run that was chosen last.
                st.session_state[shared.RUN_KEY] = run.id
                st.switch_page(shared.EVALUATION)
            if state.status in RESUMABLE and st.button(
                "Resume", icon=":material/resume:", key=f"resume-{run.id}"
            ):
                with st.spinner("Starting …"):
                    resume_run(run)
                st.rerun()
            if state.status != "damaged":
                with st.popover("Settings", icon=":material/tune:", key=f"settings-{run.id}"):
                    st.table(settings_table(run.config), hide_index=True, hide_header=True)
            if st.button("Delete", icon=":material/delete:", key=f"delete-{run.id}"):
                confirm_delete(run)


def outcome(run: Run) -> str:
    """Return a run's best validation error as text, if it has any."""
    history = run.metrics()
    if history.empty:
        return ""
    best = history.loc[history["val_loss"].idxmin()]
    accuracy = shared.percent(best["val_gender_accuracy"])
    return f" · MAE {shared.years(best['val_age_mae'])}, gender {accuracy} on validation"


def settings_table(config: TrainConfig) -> pd.DataFrame:
    """Lay out the settings of a run for reading."""
    rows = [
        ("Dataset", Path(config.dataset).name),
        ("Backbone", shared.backbone_label(config.backbone)),
        ("Faces, at most", "all" if config.limit is None else f"{config.limit:,}"),
        ("Left out", "none" if config.exclude is None else Path(config.exclude).name),
        ("Epochs, at most", str(config.epochs)),
        ("Patience, epochs", str(config.patience)),
        ("Batch size", str(config.batch_size)),
        ("Learning rate", f"{config.learning_rate:g}"),
        ("Dropout", f"{config.dropout:g}"),
        ("Age loss", AGE_LOSS_NAMES[config.age_loss]),
        ("Weight of the age loss", f"{config.age_loss_weight:g} per year"),
        ("Weight of the gender loss", f"{config.gender_loss_weight:g}"),
        ("Fine-tuning, epochs", str(config.fine_tune_epochs)),
    ]
    return pd.DataFrame(rows, columns=["Setting", "Value"])


@st.dialog("Delete this run?", icon=":material/delete:")
def confirm_delete(run: Run) -> None:
    """Ask once more, since a deleted run is gone."""
    st.markdown(f"`{run.id}` with its model, curves and saved predictions. It cannot be undone.")
    with st.container(horizontal=True):
        if st.button("Delete it", type="primary"):
            with shared.errors_as_messages():
                delete_run(run)
                st.rerun()
        if st.button("Keep it"):
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


shared.header("Training", "Two heads learn age and gender on top of a frozen ResNet50.")
faces = shared.need_dataset()
alive = next((run for run in list_runs() if run.state.status == "running"), None)
if alive is not None:
    watch(alive.id)
show_start(faces, alive)
# Listed anew: a run that failed to start is among them.
show_runs([run for run in list_runs() if alive is None or run.id != alive.id])
show_architecture()
