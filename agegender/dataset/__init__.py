"""The face images: getting, indexing and splitting them, and drawing demo faces."""
