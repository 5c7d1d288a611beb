"""Pretraining: how a backbone is made from faces, from nothing or on from weights."""
