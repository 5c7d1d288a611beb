"""Estimate age and gender from faces, show why, and say how sure."""

import os

__version__ = "0.1.0"

# Before TensorFlow is imported anywhere. On processors without AVX-512 it leaves oneDNN off by
# default, and training a backbone then takes twice as long.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
