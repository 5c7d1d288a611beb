"""Pretraining: how the shipped backbone is made from faces, from nothing."""
