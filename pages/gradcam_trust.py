"""The Grad-CAM page's part on whether its maps can be trusted."""

from __future__ import annotations

import io
from collections.abc import Hashable

import pandas as pd
import streamlit as st

from agegender.evaluation.heatmaps import FACES, HeatmapCheck, measure_heatmaps, read_heatmaps
from agegender.training.run import Run
from pages import shared
from pages.current_dataset import chosen_folder, read_dataset
from pages.navigation import DATASET, next_step

SPLIT = "validation"
"""The test split is for evaluations, where each look at it is counted."""

OPEN_KEY = "gradcam_trust"


def show_trust(run: Run) -> None:
    """Show what deletion, insertion and destroyed weights say of a run's maps."""
    part = st.expander(
        "Can these maps be trusted?", icon=":material/verified:", key=OPEN_KEY, on_change="rerun"
    )
    if not part.open:
        return
    with part, shared.errors_as_messages():
        folder = chosen_folder()
        if folder is None:
            next_step(
                "The test needs labelled faces, and there are none yet.",
                DATASET,
                "Get a dataset",
            )
            return
        dataset = read_dataset(folder)
        check = read_heatmaps(run, dataset, SPLIT)
        if check is None:
            st.markdown(
                f"Take away what a map calls important: does the answer change? On {FACES} "
                "validation faces this is compared with random maps, and the maps with those of a "
                "network whose weights are destroyed. It takes some ten minutes; what is done "
                "is kept when you leave."
            )
            if not st.button("Test the maps", icon=":material/play_arrow:", type="primary"):
                return
            with (
                st.spinner("Testing; the first time starts TensorFlow …"),
                shared.progress("Faces, then destroyed networks", stop=True) as on_progress,
            ):
                check = measure_heatmaps(run, dataset, SPLIT, on_progress=on_progress)
        key = (str(run.folder), run.changed_ns, str(folder), dataset.labels_hash, len(check.faces))
        show(key, run.weights().spec.crop, check)


def show(key: Hashable, crop: float, check: HeatmapCheck) -> None:
    """Show figures and tables of a check."""
    from agegender.evaluation.sections import heatmaps as words

    figures, tables = draw(key, crop, check)
    st.markdown(words.LEAD)
    for picture, caption in zip(figures, (words.CURVES, words.MEANS, words.SANITY), strict=True):
        st.image(picture, width="stretch", alt=caption)
        st.caption(caption)
    for title, table in tables:
        st.markdown(f"**{title}**")
        st.dataframe(table, hide_index=True)


@st.cache_data(max_entries=4, show_spinner="Drawing …")
def draw(
    key: Hashable, crop: float, _check: HeatmapCheck
) -> tuple[list[bytes], list[tuple[str, pd.DataFrame]]]:
    """Draw the report's own figures and tables, once for the same check.

    Args:
        key: Tells checks apart; they are too large to be compared.
        crop: See `InputSpec`.
        _check: What `measure_heatmaps` returned.

    Returns:
        PNG files, and titles with tables.
    """
    from agegender.evaluation import plots
    from agegender.evaluation.heatmap_tables import reading_tables

    pictures = []
    for figure in (
        plots.plot_faithfulness(_check),
        plots.plot_mean_maps(_check, crop),
        plots.plot_sanity(_check),
    ):
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=130)
        pictures.append(file.getvalue())
    return pictures, reading_tables(_check)
