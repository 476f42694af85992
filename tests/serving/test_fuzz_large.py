"""Bodies of 1 to 20 MB, sound and damaged: each is answered or refused, and memory is flat.

The quick tests send a tenth of what `make soak` sends.
"""

import gzip
import json
import random
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tensorflow_serving.apis import predict_pb2

from serving.tensor_proto import array_to_proto

from .fuzzing import OWN_FAULT, so_many, within_memory
from .picture_files import encoded
from .test_fuzz_pictures import example_of, in_base64

REQUESTS = 400
SHARES = {200: 1 / 50, 400: 1 / 50, grpc.StatusCode.OK: 1 / 50}
MB = 2**20
LONGEST_S = 30

NUMBERS = ["1", "-0", "1.5", "1e9", "0.1234567890123456", "1e-400", "1e400", "NaN", "99999999999"]
ELEMENTS = ["true", "null", '"a"', "[1]", '{"x":1}', '{"b64":"YQ=="}', "1" * 400, "01", "tru"]


@pytest.fixture(scope="module")
def fuzzed(
    start_server: Callable[..., Any],
    saved_models: Path,
    exported_models: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("large")
    (folder / "animals").symlink_to(exported_models / "animals")
    (folder / "numbers").mkdir()
    (folder / "numbers" / "1").symlink_to(saved_models / "numbers")
    server = start_server(str(folder), "--port=0", "--rest_api_port=0")
    server.wait_for_addresses()
    yield server
    assert "unforeseen" not in server.log.read_text()
    assert server.end() == 0


def json_body(rng: random.Random, size: int, fault: str | None) -> bytes:
    """A document of numbers or strings in lists of some shape, one of them wrong or none."""
    name = rng.choice(["serving_default", "two", "logarithm", "echo"])
    if name == "echo":
        unit = rng.choice(["a", "é", "\\u00e9", "\\n", "\\ud800", "\\\\", " "])
        elements = ['"' + unit * (size // rng.choice([1, 3, 1000]) // len(unit)) + '"']
        elements *= max(1, size // len(elements[0]))
    else:
        number = rng.choice(NUMBERS[:5] if fault is None else NUMBERS)
        elements = [number] * (size // (len(number) + 1))
    if fault is not None:
        elements[rng.randrange(len(elements))] = fault
    if name == "logarithm":
        elements = [f"[{one}]" for one in elements]
    column = "[" + rng.choice([",", ", ", ",\n\t"]).join(elements) + "]"
    if name == "two":
        text = f'{{"inputs":{{"a":{column},"b":[1,2]}},"signature_name":"two"}}'
    else:
        key = rng.choice(["instances", "inputs"])
        text = f'{{"signature_name":"{name}","{key}":{column}}}'
    return text.encode(errors="surrogatepass")


def raw_body(rng: random.Random, size: int) -> bytes:
    """Pictures that are large, or have much behind them or in them."""
    side = int((size / 3) ** 0.5)
    pixels = np.frombuffer(rng.randbytes(3 * side * side), np.uint8).reshape(side, side, 3)
    image = Image.fromarray(pixels)
    small = image.crop((0, 0, 40, 30))
    kind = rng.choice(["BMP", "PNG", "JPEG", "behind", "within", "noise", "WEBP", "GIF"])
    if kind == "behind":
        return encoded(small, rng.choice(["JPEG", "PNG", "GIF", "BMP"])) + bytes(size)
    if kind == "within":
        comments = b"\xff\xfe\xff\xff" + bytes(65_533)
        return b"\xff\xd8" + comments * (size // len(comments)) + encoded(small, "JPEG")[2:]
    if kind == "noise":
        heads = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"\xff\n", b"\0"]
        return rng.choice(heads) + rng.randbytes(size)
    if kind in ("WEBP", "GIF"):  # which take long to encode
        return encoded(image.crop((0, 0, side // 4, side // 4)), kind) + rng.randbytes(MB)
    return encoded(image, kind, **({"compress_level": 0} if kind == "PNG" else {}))


def damage(rng: random.Random, body: bytes) -> bytes:
    """Cut something out of a body, put something in, or leave it, as half of the time."""
    if rng.random() < 0.5:
        return body
    place = rng.randrange(len(body))
    return rng.choice(
        [
            body[:place], body[place:],
            body[:place] + rng.randbytes(rng.choice([1, 50, 100_000])) + body[place:],
            body[:place] + body[place + rng.randrange(1, 100_000) :],
        ]
    )  # fmt: skip


def rest_request(rng: random.Random, size: int) -> tuple[str, bytes, dict[str, str]]:
    kind = rng.choice(["JSON", "JSON", "wrong JSON", "picture", "base64", "form", "example"])
    path, headers = "/v1/models/animals:predict", {}
    if kind in ("JSON", "wrong JSON"):
        fault = rng.choice(NUMBERS + ELEMENTS) if kind == "wrong JSON" else None
        path, body = "/v1/models/numbers:predict", json_body(rng, size, fault)
    elif kind == "picture":
        body = raw_body(rng, size)
    elif kind == "base64":
        pictures = [raw_body(rng, size // 2) for _ in range(2)]
        body = json.dumps({"instances": [in_base64(one) for one in pictures]}).encode()
    elif kind == "form":
        headers["Content-Type"] = "multipart/form-data; boundary=end"
        part = b'--end\r\nContent-Disposition: form-data; name="p"; filename="p"\r\n\r\n'
        body = part + raw_body(rng, size) + b"\r\n--end--\r\n"
    else:
        path = "/v1/models/animals:classify"
        examples = [{"image_bytes": in_base64(raw_body(rng, size // 2))}]
        document = {"signature_name": "classify", "examples": examples}
        body = json.dumps(document).encode()
    body = damage(rng, body)
    if kind != "form" and rng.random() < 0.2:
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body, 1)
        body = damage(rng, body) if rng.random() < 0.5 else body
    return path, body, headers


def grpc_message(rng: random.Random, size: int) -> bytes:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "numbers"
    kind = rng.choice(["float32", "float64", "int32", "int64", "float16", "bool", "string", "row"])
    if kind in ("string", "row"):
        request.model_spec.name = "animals"
        pictures = [raw_body(rng, size)] if kind == "string" else [b"\xff\xd8\xff"] * (size // 40)
        name = rng.choice(["serving_default", "classify"])
        request.model_spec.signature_name = name
        if name == "classify":
            pictures = [example_of(one).SerializeToString() for one in pictures]
        array = np.empty(len(pictures), object)
        array[:] = pictures
        request.inputs["image_bytes" if name != "classify" else "inputs"].CopyFrom(
            array_to_proto(array)
        )
    else:
        count = size // np.dtype(kind).itemsize
        # Whole numbers of one type take more bytes as the protocol writes them.
        array = np.resize(np.array([1, 0, 3]), min(count, 2_000_000)).astype(kind)
        proto = array_to_proto(array, as_content=rng.random() < 0.3)
        request.model_spec.signature_name = rng.choice(["serving_default", "logarithm", "echo"])
        sizes = [[len(array)], [len(array), 1], [len(array) - 1], [len(array), 2], [2**20, 2**20]]
        del proto.tensor_shape.dim[:]
        for one in rng.choice(sizes[:2] * 4 + sizes):
            proto.tensor_shape.dim.add(size=one)
        request.inputs["text" if request.model_spec.signature_name == "echo" else "x"].CopyFrom(
            proto
        )
    data = bytes(request.SerializeToString())
    return damage(rng, data) if rng.random() < 0.3 else data


def send(server: Any, count: int) -> Counter[Any]:
    seen: Counter[Any] = Counter()
    options = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
    channel: Any = grpc.insecure_channel(server.addresses["gRPC"], options)

    @so_many(count)
    @given(seed=st.integers(0, 2**32), size=st.integers(MB, 20 * MB), over_rest=st.booleans())
    def send_one(seed: int, size: int, over_rest: bool) -> None:
        # Bodies so large are not drawn byte by byte.
        rng = random.Random(zlib.crc32(f"{seed} {size}".encode()))
        if over_rest:
            path, body, headers = rest_request(rng, size)
            began_s = time.monotonic()
            code, answer = server.call(path, body, **headers)
            assert code in (200, 400, 413, 501), (path, body[:200], answer)
        else:
            message = grpc_message(rng, size)
            began_s = time.monotonic()
            code, words = grpc.StatusCode.OK, ""
            try:
                predict(message, timeout=60)
            except grpc.RpcError as error:
                code, words = error.code(), str(error.details())
            assert code not in OWN_FAULT or "deserializing" in words, (message[:200], words)
        assert time.monotonic() < began_s + LONGEST_S
        seen[code] += 1
        good = server.call("/v1/models/numbers:predict", {"instances": [2.0]})
        assert good == (200, {"predictions": [3.0]})

    with channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        send_one()
    return seen


@pytest.mark.slow
def test_a_tenth_of_the_large_bodies(fuzzed: Any) -> None:
    within_memory(fuzzed, send, REQUESTS // 10, SHARES)


@pytest.mark.soak
def test_all_the_large_bodies(fuzzed: Any) -> None:
    within_memory(fuzzed, send, REQUESTS, SHARES)
