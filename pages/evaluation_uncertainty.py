"""Evaluation, the tab on how sure the answers are."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from agegender.evaluation import charts
from agegender.evaluation.formats import in_years, percent, percent_range
from agegender.evaluation.tables import coverage_breakdown
from agegender.evaluation.titles import GROUP_TITLES
from agegender.evaluation.uncertainty import COVERAGE_GROUPINGS, risk_at
from agegender.prediction.words import UNSURE_BELOW
from pages.current_run import NO_INTERVALS


def show_uncertainty(predictions: pd.DataFrame, metrics: dict[str, Any], split: str) -> None:
    """Show intervals of ages, genders told only when sure, and unfamiliar faces."""
    uncertainty = metrics["uncertainty"]
    if split in ("validation", "all"):
        st.caption(
            "Half of the validation faces were used for calibration, the other half for choices: "
            "on them these figures may be too good. The test split is the proof."
        )
    if uncertainty["intervals"] is None:
        st.info(NO_INTERVALS, icon=":material/straighten:")
    else:
        show_intervals(metrics)
    show_unsure(predictions)
    show_unfamiliar(uncertainty["unfamiliar"])


def show_intervals(metrics: dict[str, Any]) -> None:
    """Show how many ages lie inside of their intervals, and how wide these are."""
    every = metrics["uncertainty"]["intervals"]["all"]
    with st.container(horizontal=True):
        st.metric(
            "Coverage",
            percent(every["coverage"]),
            f"target: {percent(every['promised'])}",
            delta_color="off",
            delta_arrow="off",
            help=f"95% interval {percent_range(every['coverage_ci95'])}.",
            border=True,
            width=200,
        )
        st.metric(
            "Mean width",
            in_years(every["width"]),
            None
            if every["constant_width"] is None
            else f"fixed width: {in_years(every['constant_width'])}",
            delta_color="off",
            delta_arrow="off",
            help="Of the 90% intervals, beside that of an interval as wide for every face.",
            border=True,
            width=200,
        )
    by = st.segmented_control(
        "Intervals by", COVERAGE_GROUPINGS, default="predicted_decade", required=True,
        format_func=GROUP_TITLES.__getitem__, key="coverage_by",
    )  # fmt: skip
    left, right = st.columns(2, gap="medium")
    left.altair_chart(charts.coverage_chart(metrics, by))
    right.altair_chart(charts.width_chart(metrics, by))
    with st.expander("As a table"):
        st.dataframe(coverage_breakdown(metrics, by), hide_index=True)
    st.caption("Coverage is promised on average over faces like the dataset's, not for each group.")


def show_unsure(predictions: pd.DataFrame) -> None:
    """Let the visitor choose from when on a gender is told, and show what that comes to."""
    left, right = st.columns([2, 3], gap="medium")
    with left:
        threshold = st.slider(
            "Minimum confidence for a gender",
            min_value=50,
            max_value=99,
            value=round(100 * UNSURE_BELOW),
            format="%d%%",
            key="unsure_threshold",
            help="Below, the answer is \u201cunsure\u201d.",
        )
        chosen = risk_at(predictions, threshold / 100)
        st.metric("Answered", percent(chosen["share"]), border=True)
        accuracy = chosen["accuracy"]
        ends = chosen["accuracy_ci95"]
        st.metric(
            "Accuracy of these",
            "none" if accuracy is None else percent(accuracy),
            help=None if ends is None else f"95% interval {percent_range(ends)}.",
            border=True,
        )
    right.altair_chart(charts.risk_chart(predictions, chosen))


def show_unfamiliar(unfamiliar: dict[str, Any] | None) -> None:
    """Say how many faces are unlike the training faces."""
    if unfamiliar is None:
        st.caption("This run cannot tell which faces are unlike those that it learned from.")
        return
    st.markdown(
        f"**{unfamiliar['flagged']:,}** of {unfamiliar['n']:,} faces "
        f"({percent(unfamiliar['share'])}; {percent_range(unfamiliar['share_ci95'])}) "
        "are flagged as unlike the training faces; the threshold is set so that one in a hundred "
        "ordinary faces is."
    )
