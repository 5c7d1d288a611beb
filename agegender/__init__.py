"""Estimate age and gender from faces, show why, and say how sure."""

__version__ = "0.1.0"
