"""Start Keras and its backend quietly, before a command imports its pipeline."""

import logging
import os

from serving.startup_noise import without_startup_noise
from tl.errors import ConfigError


def start_keras() -> None:
    """Import Keras and its backend; what they complain of is shown, what they mention is not.

    Raises:
        ConfigError: KERAS_BACKEND names one that is not there.
    """
    # grain warns at import that JAX is not there; nothing that absl's users log is for people.
    logging.getLogger("absl").setLevel(logging.ERROR)
    with without_startup_noise():
        try:
            import keras  # noqa: F401 - imported for its backend
        except (ImportError, ValueError) as error:
            backend = os.environ.get("KERAS_BACKEND")
            if backend is None:
                raise
            raise ConfigError(
                f"KERAS_BACKEND={backend} cannot be used: {error}. Valid: tensorflow, and jax "
                "where it is installed (pip install jax)"
            ) from error
