"""Start Keras and its backend quietly, before a command imports its pipeline."""

import logging

from serving.startup_noise import without_startup_noise


def start_keras() -> None:
    """Import Keras and its backend; what they complain of is shown, what they mention is not."""
    # grain warns at import that JAX is not there; nothing that absl's users log is for people.
    logging.getLogger("absl").setLevel(logging.ERROR)
    with without_startup_noise():
        import keras  # noqa: F401 - imported for its backend
