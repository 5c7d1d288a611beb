"""Prediction: any picture in, answers out."""
