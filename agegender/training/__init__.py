"""Training: faces in batches, cached features, heads and runs."""
