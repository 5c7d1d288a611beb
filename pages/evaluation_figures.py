"""Evaluation, the main figures: of all faces, of groups, and those that were published."""

from __future__ import annotations

from typing import Any

import streamlit as st

from agegender.config import ADULT_AGE_YEARS
from agegender.evaluation import tables
from agegender.evaluation.formats import in_years, percent, percent_range, year_range
from agegender.evaluation.metrics import CS_YEARS
from agegender.evaluation.published import read_published
from agegender.evaluation.titles import GROUP_TITLES
from agegender.training.run import Run

GROUPINGS = ("band", "decade", "race", "gender")


def show_figures(metrics: dict[str, Any]) -> None:
    """Show the main figures, each beside what no skill would give."""
    age, gender = metrics["age"], metrics["gender"]
    tiles = (
        (
            "Age MAE",
            in_years(age["mae"]),
            f"no skill: {in_years(age['floor_mae'])}",
            f"Mean absolute error, 95% interval {year_range(age['mae_ci95'])} years, "
            f"standard deviation {in_years(age['mae_std'])}. "
            f"No skill: always {age['floor_age']:.0f}.",
        ),
        (
            "Median error",
            in_years(age["median_error"]),
            "half are closer",
            "Half of the faces are off by less.",
        ),
        (
            "Bias",
            f"{age['bias']:+.1f} years",
            f"too {'old' if age['bias'] > 0 else 'young'}" if abs(age["bias"]) >= 0.05 else "none",
            "Mean of predicted minus true age: below zero, the answers are too young.",
        ),
        (
            f"Within {CS_YEARS} years",
            percent(age["cs5"]),
            f"CS@{CS_YEARS}",
            f"Share of faces whose age is off by at most {CS_YEARS} years.",
        ),
        (
            "Gender",
            percent(gender["accuracy"]),
            f"no skill: {percent(gender['floor_accuracy'])}",
            f"Share that is right, 95% interval {percent_range(gender['accuracy_ci95'])}. "
            f"No skill: always {gender['floor_gender']}.",
        ),
        (
            "Adults' gender",
            percent(gender["adult_accuracy"]),
            f"n = {gender['adult_n']:,}",
            f"Accuracy from {ADULT_AGE_YEARS} years on: faces of children tell little.",
        ),
    )
    # Six beside each other would have no room for "+20.6 years".
    for row in (tiles[:3], tiles[3:]):
        for column, (label, value, below, help_text) in zip(st.columns(3), row, strict=True):
            column.metric(
                label,
                value,
                below,
                delta_color="off",
                delta_arrow="off",
                help=help_text,
                border=True,
            )
    count = metrics["n"]
    interval = ""
    if age["mae_ci95"] is not None:
        interval = (
            f" 95% intervals: age MAE {year_range(age['mae_ci95'])} years, gender "
            f"{percent_range(gender['accuracy_ci95'])}."
        )
    st.caption(f"n = {count:,} {'face' if count == 1 else 'faces'}.{interval}")


def show_groups(metrics: dict[str, Any], key: str) -> None:
    """Show the figures of every group as tables; the key tells one such choice from another."""
    by = st.segmented_control(
        "Group by", GROUPINGS, default="band", required=True,
        format_func=GROUP_TITLES.__getitem__, key=key,
    )  # fmt: skip
    st.markdown("**Ages**, in years")
    st.dataframe(tables.age_breakdown(metrics, by), hide_index=True)
    st.markdown("**Genders**")
    st.dataframe(tables.gender_breakdown(metrics, by), hide_index=True)
    gap = metrics["gender"]["race_gap"]
    if gap is not None:
        low, high = gap["gap_ci95"]
        st.markdown(
            f"Largest gap in gender accuracy between race groups: **{100 * gap['gap']:.1f} "
            f"points** ({100 * low:.1f} to {100 * high:.1f}), {gap['best']} against "
            f"{gap['worst']}."
        )
    st.caption(
        "Small groups say little. The interval of the gap allows for its two groups having been "
        "picked."
    )


def show_published(run: Run, *, expanded: bool) -> None:
    """Show the figures that travel with a run, if there are any: no faces are needed for them."""
    published = read_published(run)
    if published is None:
        return
    about = published["about"]
    with st.expander(
        f"What it reached on {published['n']:,} test faces when it was made", expanded=expanded
    ):
        show_figures(published)
        coverage = published["uncertainty"]["intervals"]["all"]
        st.markdown(
            f"{percent(coverage['coverage'])} of the ages lie in their "
            f"{coverage['promised']:.0%} intervals, which are {in_years(coverage['width'])} "
            "wide on average."
        )
        show_groups(published, key="published_groups")
        st.caption(
            f"{about['Evaluated on']}. Left out: {about['Left out']}. What the model learned from, "
            "exceptions, more groups and limits are in docs/model-card.md."
        )
