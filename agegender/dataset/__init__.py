"""The face images: getting, indexing, splitting and loading them."""
