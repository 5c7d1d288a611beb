"""Figures for the files of the report; each function returns a matplotlib Figure."""

from agegender.evaluation.plots.age import (
    plot_age_error,
    plot_age_scatter,
    plot_errors,
    plot_residuals,
)
from agegender.evaluation.plots.faces import plot_age, plot_balance, plot_race
from agegender.evaluation.plots.fairness import plot_crossing, plot_gaps, plot_gate
from agegender.evaluation.plots.gender import (
    plot_calibration,
    plot_confusion,
    plot_gender_accuracy,
    plot_roc,
)
from agegender.evaluation.plots.heatmaps import plot_faithfulness, plot_mean_maps, plot_sanity
from agegender.evaluation.plots.pictures import plot_cards
from agegender.evaluation.plots.pretraining import plot_pretraining
from agegender.evaluation.plots.robustness import plot_robustness
from agegender.evaluation.plots.training import plot_training
from agegender.evaluation.plots.uncertainty import (
    plot_coverage,
    plot_risk_coverage,
    plot_width,
)

__all__ = [
    "plot_age",
    "plot_age_error",
    "plot_age_scatter",
    "plot_balance",
    "plot_calibration",
    "plot_cards",
    "plot_confusion",
    "plot_coverage",
    "plot_crossing",
    "plot_errors",
    "plot_faithfulness",
    "plot_gaps",
    "plot_gate",
    "plot_gender_accuracy",
    "plot_mean_maps",
    "plot_pretraining",
    "plot_race",
    "plot_residuals",
    "plot_risk_coverage",
    "plot_robustness",
    "plot_roc",
    "plot_sanity",
    "plot_training",
    "plot_width",
]
