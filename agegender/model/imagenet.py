"""Keras' own ResNet50 weights, trained on ImageNet: where they lie, and fetching them."""

from __future__ import annotations

import os
from pathlib import Path

from agegender.errors import InvalidModelError, ModelNotFoundError
from agegender.model.tensors import file_hash
from agegender.storage import storage_errors

IMAGENET_NAME = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
IMAGENET_MD5 = "4d473c1dd8becc155b73f8504c6f6626"
IMAGENET_URL = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
DOWNLOAD_RETRIES = 2
DOWNLOAD_TIMEOUT_SECONDS = 30


def imagenet_file() -> Path:
    """Return where Keras keeps its ImageNet weights; a file put there is used."""
    home = os.environ.get("KERAS_HOME")
    folder = Path(home) if home else Path.home() / ".keras"
    return folder / "models" / IMAGENET_NAME


def find_imagenet() -> Path:
    """Return Keras' ImageNet weights, if they are there; nothing is downloaded.

    Returns:
        The file, whose MD5 is that which Keras publishes.

    Raises:
        ModelNotFoundError: If it is not there.
        InvalidModelError: If a file is there but is another one.
    """
    path = imagenet_file()
    if not path.exists():
        raise ModelNotFoundError(
            f"The ImageNet weights are not at {path}: fetch {IMAGENET_URL}{IMAGENET_NAME} and put "
            "it there, as a training with them does by itself."
        )
    md5 = file_hash(path, "md5")
    if md5 != IMAGENET_MD5:
        raise InvalidModelError(
            f"{path} has MD5 {md5}, but Keras' file has {IMAGENET_MD5}; delete it, so that it is "
            "fetched again."
        )
    return path


def fetch_imagenet() -> Path:
    """Return Keras' ImageNet weights, downloading them the first time.

    Returns:
        As `find_imagenet`.

    Raises:
        ModelNotFoundError: If it is not there and cannot be downloaded.
        InvalidModelError: If a file is there but is another one.
        StorageError: If the disk refuses.
    """
    path = imagenet_file()
    if not path.exists():
        import pooch
        import requests

        source = pooch.create(
            path=path.parent,
            base_url=IMAGENET_URL,
            registry={IMAGENET_NAME: f"md5:{IMAGENET_MD5}"},
            retry_if_failed=DOWNLOAD_RETRIES,
        )
        try:
            with storage_errors(path):
                source.fetch(
                    IMAGENET_NAME,
                    downloader=pooch.HTTPDownloader(timeout=DOWNLOAD_TIMEOUT_SECONDS),
                )
        # pooch reports a wrong hash as ValueError.
        except (requests.RequestException, ValueError) as error:
            raise ModelNotFoundError(
                f"The ImageNet weights could not be downloaded ({type(error).__name__}): fetch "
                f"{IMAGENET_URL}{IMAGENET_NAME} where there is a network and put it at {path}, "
                f"or choose another backbone."
            ) from error
    return find_imagenet()
