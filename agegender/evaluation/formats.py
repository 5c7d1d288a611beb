"""Figures as they are written, in tables, in the report and on the pages."""

from __future__ import annotations

MISSING = "n/a"
"""Stands for a figure that cannot be computed."""


def years(value: float | None, *, signed: bool = False) -> str:
    """Write a number of years with one digit."""
    if value is None:
        return MISSING
    return f"{value:+.1f}" if signed else f"{value:.1f}"


def in_years(value: float | None) -> str:
    """Write a number of years as "4.7 years"."""
    return MISSING if value is None else f"{years(value)} years"


def percent(share: float | None) -> str:
    """Write a share, 0..1, in percent with one digit."""
    return MISSING if share is None else f"{share:.1%}"


def year_range(ends: list[float] | None) -> str:
    """Write an interval of years."""
    return MISSING if ends is None else f"{ends[0]:.1f} to {ends[1]:.1f}"


def percent_range(ends: list[float] | None) -> str:
    """Write an interval of shares."""
    return MISSING if ends is None else f"{ends[0]:.1%} to {ends[1]:.1%}"
