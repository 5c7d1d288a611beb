"""Training: cached features, heads, runs, and pretraining of the backbone."""
