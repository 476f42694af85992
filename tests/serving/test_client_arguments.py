"""Arguments of the wrong type are named with what to give, before anything is sent."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving import AsyncClient, Client
from serving.client_arguments import byte_strings

URL = "http://127.0.0.1:9/model"  # nobody is there, and nobody is asked


def made(*words: Any, **options: Any) -> None:
    with Client(*words, **options):
        pass


def made_for_a_loop(*words: Any, **options: Any) -> None:
    AsyncClient(*words, **options)


@pytest.mark.parametrize("make", [made, made_for_a_loop], ids=["Client", "AsyncClient"])
@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        ([Path(URL)], {}, r"^url is of type PosixPath: give a str$"),
        ([None], {}, r"^url is NoneType: give a str$"),
        ([URL, 5], {}, r"^model is 5, of type int: give a str$"),
        ([URL], {"timeout_s": "1"}, r"^timeout_s is '1', of type str: give seconds, an int or a f"),
        ([URL], {"timeout_s": None}, r"^timeout_s is NoneType: give seconds"),
        ([URL], {"retries": 2.5}, r"^retries is 2.5, of type float: give a whole number, an int$"),
        (["https://x/m"], {"ca": 5}, r"^ca is 5, of type int: give a path, a str or os.PathLike$"),
        (["https://x/m"], {"certificate": b"PEM", "key": b"PEM"}, r"^certificate is of type bytes"),
    ],
)
def test_clients_are_not_made_of_them(
    make: Callable[..., None], words: list[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        make(*words, **options)


def called(name: str, words: list[Any], options: dict[str, Any]) -> None:
    with Client(URL) as client:
        getattr(client, name)(*words, **options)


def called_on_a_loop(name: str, words: list[Any], options: dict[str, Any]) -> None:
    async def call() -> None:
        client = AsyncClient(URL)
        try:
            answer = getattr(client, name)(*words, **options)
            if name != "predict_each":
                await answer
        finally:
            await client.close()

    asyncio.run(call())


@pytest.mark.parametrize("call", [called, called_on_a_loop], ids=["Client", "AsyncClient"])
@pytest.mark.parametrize(
    ("name", "words", "options", "message"),
    [
        ("predict_bytes", ["a"], {}, r"^values is 'a', of type str: give a list of byte strings, "),
        ("predict_bytes", [b"a"], {}, r"^values is of type bytes: .* such as \[value\]$"),
        ("predict_bytes", [["a"]], {}, r"^values\[0\] is 'a', of type str: give bytes$"),
        ("predict_bytes", [[b"a", 5]], {}, r"^values\[1\] is 5, of type int: give bytes$"),
        ("predict_bytes", [5], {}, r"^values is 5, of type int: give a list of byte strings"),
        ("predict_bytes", [[b"a"], 5], {}, r"^signature_name is 5, of type int: give a str$"),
        ("predict_bytes", [[b"a"]], {"timeout_s": "1"}, r"^timeout_s is '1', of type str"),
        ("predict", [b"a"], {"timeout_s": "1"}, r"^timeout_s is '1', of type str: give seconds"),
        ("predict", [b"a"], {"batch_size": "8"}, r"^batch_size is '8', of type str: give a whole"),
        ("predict", [b"a"], {"concurrency": 2.0}, r"^concurrency is 2.0, of type float"),
        ("predict", [b"a"], {"input_name": b"x"}, r"^input_name is of type bytes: give a str$"),
        ("predict_each", [b"a"], {"timeout_s": [1]}, r"^timeout_s is of type list: give seconds"),
        ("predict_each", [b"a"], {"batch_size": 1.5}, r"^batch_size is 1.5, of type float"),
        ("predict_each", [b"a"], {"concurrency": "4"}, r"^concurrency is '4', of type str"),
        ("predict_each", [b"a", None], {}, r"^signature_name is NoneType: give a str$"),
        ("status", [], {"timeout_s": "1"}, r"^timeout_s is '1', of type str: give seconds"),
        ("metadata", [], {"timeout_s": "1"}, r"^timeout_s is '1', of type str: give seconds"),
    ],
)
def test_calls_do_not_begin_with_them(
    call: Callable[..., None],
    name: str,
    words: list[Any],
    options: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(TypeError, match=message):
        call(name, words, options)


def test_whatever_holds_bytes_will_do() -> None:
    given = (value for value in (b"a", bytearray(b"b"), memoryview(b"c")))

    assert byte_strings(given) == [b"a", b"b", b"c"]
    assert byte_strings(np.array([b"a\0b"], object)) == [b"a\0b"]


def test_numbers_of_numpy_are_numbers() -> None:
    with Client(URL, timeout_s=np.float32(1), retries=np.int64(2)):  # type: ignore[arg-type]
        pass
