"""A fresh process that knows neither tl nor Keras: it loads a SavedModel, then serves it.

    python -m pipelines.parity_process VERSION PICTURES ANSWERS

`VERSION` is a folder with the SavedModel in its sub-folder 1, `PICTURES` one of encoded pictures,
taken by name, and `ANSWERS` the .npz that is written. After that it is `python -m serving`, on
ports of its own choice, until it is ended.
"""

import runpy
import socket
import sys
from pathlib import Path

MODEL = "checked"


def main(base: Path, pictures: Path, answers: Path) -> None:
    """Answer the pictures with plain TensorFlow, then serve."""
    for name in ("tl", "keras", "tf_keras"):
        sys.modules[name] = None  # type: ignore[assignment]  # whoever imports it fails
    import numpy as np
    import tensorflow as tf

    signature = tf.saved_model.load(str(base / "1")).signatures["serving_default"]
    files = [path.read_bytes() for path in sorted(pictures.iterdir())]
    said = [
        signature(image_bytes=tf.constant(files[at : at + 16])) for at in range(0, len(files), 16)
    ]
    together = {name: np.concatenate([part[name].numpy() for part in said]) for name in said[0]}
    if "labels" in together:  # as text, which an .npz takes without a pickle
        together["labels"] = np.char.decode(together["labels"].astype(bytes), "utf-8")
    aside = answers.with_suffix(".part.npz")
    np.savez(aside, allow_pickle=False, **together)
    aside.rename(answers)
    del signature, said
    sys.argv = [
        "serving", f"--model_name={MODEL}", f"--model_base_path={base}", "--host=127.0.0.1",
        "--port=0", f"--rest_api_port={_free_port()}", "--enable_model_warmup=false",
    ]  # fmt: skip
    runpy.run_module("serving", run_name="__main__")


def _free_port() -> int:
    with socket.socket() as probe:  # 0 turns REST off
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
