"""The least that serves a SavedModel: Starlette, and one call of TensorFlow a request.

    python serve_starlette.py VERSION_FOLDER PORT

The body of a POST is a picture, the answer JSON of labels and scores.
"""

import sys

import numpy as np
import tensorflow as tf
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

version, port = sys.argv[1:]
loaded = tf.saved_model.load(version)
signature = loaded.signatures["serving_default"]


def answer(picture: bytes) -> dict[str, list[object]]:
    """Run the model on one picture."""
    found = signature(image_bytes=tf.constant([picture]))
    labels = [label.decode() for label in found["labels"].numpy()[0]]
    return {"labels": labels, "scores": np.asarray(found["scores"])[0].tolist()}


async def predict(request: Request) -> JSONResponse:
    """Answer one request."""
    return JSONResponse(await run_in_threadpool(answer, await request.body()))


app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)
