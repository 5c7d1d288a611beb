"""Interactive charts for the pages; each function returns an Altair chart."""

from agegender.evaluation.charts.age import (
    age_error_chart,
    age_scatter_chart,
    error_chart,
    residual_chart,
)
from agegender.evaluation.charts.faces import age_chart, balance_chart, race_chart, split_chart
from agegender.evaluation.charts.fairness import gap_chart, gate_chart
from agegender.evaluation.charts.gender import (
    calibration_chart,
    confusion_chart,
    gender_accuracy_chart,
    roc_chart,
)
from agegender.evaluation.charts.training import training_chart
from agegender.evaluation.charts.uncertainty import (
    coverage_chart,
    risk_chart,
    width_chart,
)

__all__ = [
    "age_chart",
    "age_error_chart",
    "age_scatter_chart",
    "balance_chart",
    "calibration_chart",
    "confusion_chart",
    "coverage_chart",
    "error_chart",
    "gap_chart",
    "gate_chart",
    "gender_accuracy_chart",
    "race_chart",
    "residual_chart",
    "risk_chart",
    "roc_chart",
    "split_chart",
    "training_chart",
    "width_chart",
]
