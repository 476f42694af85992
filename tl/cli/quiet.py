"""Start Keras and its backend quietly, before a command imports its pipeline."""

from serving.startup_noise import without_startup_noise


def start_keras() -> None:
    """Import Keras and its backend; what they complain of is shown, what they mention is not."""
    with without_startup_noise():
        import keras  # noqa: F401 - imported for its backend
