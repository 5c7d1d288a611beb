"""Schematic faces, drawn from flat shapes."""
