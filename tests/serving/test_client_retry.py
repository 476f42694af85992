"""What is called again, how long it is waited, and when it is given up."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from serving import Client
from serving.client_rest import retry_after_s
from serving.client_retry import backoff_s
from serving.errors import ClientError, Code, InvalidArgument, Refused, TimedOut

from .scripted_servers import Script, ScriptedGrpc, ScriptedRest, Step

Start = Callable[..., Any]


@pytest.fixture(params=[ScriptedRest, ScriptedGrpc], ids=["REST", "gRPC"])
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Start servers with a script, of one of the transports."""
    started: list[Any] = []

    def run(*steps: Step, port: int = 0) -> Any:
        started.append(request.param(Script(*steps), port))
        return started[-1]

    yield run
    for server in started:
        server.stop()


@pytest.mark.parametrize(
    "step",
    [Step.SAY_UNAVAILABLE, Step.SAY_TOO_MANY, Step.PAGE_OF_A_PROXY, Step.DROP, Step.CUT],
    ids=lambda step: step.name,
)
def test_what_may_pass_is_called_again(start: Start, step: Step) -> None:
    server = start(step, step, Step.ANSWER)

    with Client(server.url) as client:
        assert client.predict_bytes([b"abc"])["size"].tolist() == [3]
    assert server.script.count == 3


@pytest.mark.parametrize("step", [Step.SAY_INVALID, Step.SAY_TOO_LATE], ids=lambda step: step.name)
def test_nothing_else_is_called_again(start: Start, step: Step) -> None:
    server = start(step, Step.ANSWER)

    with Client(server.url) as client, pytest.raises(ClientError) as caught:
        client.predict_bytes([b"abc"])
    assert server.script.count == 1
    assert not caught.value.transient


def test_retries_end_with_the_error_that_was_last(start: Start) -> None:
    server = start(Step.SAY_UNAVAILABLE)

    with Client(server.url, retries=1) as client, pytest.raises(ClientError) as caught:
        client.predict_bytes([b"abc"])
    assert server.script.count == 2
    assert caught.value.code is Code.UNAVAILABLE
    assert "SAY_UNAVAILABLE" in str(caught.value)


def test_no_retries_call_once(start: Start) -> None:
    server = start(Step.DROP, Step.ANSWER)

    with Client(server.url, retries=0) as client, pytest.raises(ClientError) as caught:
        client.predict_bytes([b"abc"])
    assert server.script.count == 1
    assert caught.value.transient


@pytest.mark.parametrize("step", [Step.HANG, Step.DRIP], ids=lambda step: step.name)
def test_whole_call_ends_in_time(start: Start, step: Step) -> None:
    server = start(Step.SAY_UNAVAILABLE, step)
    began_s = time.monotonic()

    with (
        Client(server.url) as client,
        pytest.raises(TimedOut, match="did not answer within 0.6 s: raise timeout_s"),
    ):
        client.predict_bytes([b"abc"], timeout_s=0.6)
    assert 0.5 < time.monotonic() - began_s < 1.0


def test_time_of_many_pictures_is_for_all_of_them_and_of_each_for_each(start: Start) -> None:
    server = start(Step.ANSWER_LATE)

    with Client(server.url) as client:
        with pytest.raises(TimedOut):
            client.predict([b"a"] * 5, batch_size=1, concurrency=1, timeout_s=0.35)
        sizes = client.predict_each([b"a"] * 5, batch_size=1, concurrency=1, timeout_s=0.35)
        assert len(list(sizes)) == 5


def test_wait_that_would_end_too_late_is_not_begun() -> None:
    with ScriptedRest(Script(Step.SAY_TOO_MANY_FOR_A_SECOND)) as server:
        began_s = time.monotonic()
        with (
            Client(server.url, timeout_s=0.9) as client,
            pytest.raises(Refused, match="429: SAY_TOO_MANY") as caught,
        ):
            client.predict_bytes([b"abc"])
    assert time.monotonic() - began_s < 0.5
    assert caught.value.retry_after_s == 1


def test_server_is_given_the_time_that_it_asks_for() -> None:
    with (
        ScriptedRest(Script(Step.SAY_TOO_MANY_FOR_A_SECOND, Step.ANSWER)) as server,
        Client(server.url) as client,
    ):
        client.predict_bytes([b"abc"])
        first_s, second_s = server.script.times
    assert second_s - first_s >= 1


def test_time_to_wait_may_be_seconds_or_a_date() -> None:
    assert retry_after_s("7") == 7
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 55 < retry_after_s(date) <= 60
    assert retry_after_s("Fri, 31 Dec 1999 23:59:59 -0000") == 0
    assert retry_after_s("soon") == 0 == retry_after_s("")


def test_waits_are_drawn_below_a_bound_that_doubles() -> None:
    bounds = [backoff_s(attempt, lambda low, high: high - low) for attempt in range(1, 9)]

    assert bounds == [0.25, 0.5, 1, 2, 4, 8, 10, 10]
    assert 0 <= backoff_s(10_000) <= 10


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan"), float("inf")])
def test_time_that_is_none_is_refused(timeout_s: float) -> None:
    with pytest.raises(InvalidArgument, match="timeout_s is"):
        Client("http://localhost/m", timeout_s=timeout_s)
    with (
        Client("http://localhost/m") as client,
        pytest.raises(InvalidArgument, match="timeout_s is"),
    ):
        client.predict([b"a"], timeout_s=timeout_s)


def test_less_than_no_retries_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="retries is -1"):
        Client("http://localhost/m", retries=-1)


def test_server_that_is_started_again_is_found_without_a_retry(start: Start) -> None:
    server = start(Step.ANSWER)
    with Client(server.url, retries=0) as client:
        for _ in range(3):
            assert client.predict_bytes([b"abc"])["size"].tolist() == [3]
            server.stop()
            server = start(Step.ANSWER, port=server.port)
        client.predict([b"a"] * 4, batch_size=1)


def test_server_that_starts_while_it_is_asked_is_waited_for(start: Start) -> None:
    gone = start(Step.ANSWER)
    with Client(gone.url, retries=20) as client:
        client.predict_bytes([b"abc"])
        gone.stop()
        again = threading.Timer(0.5, lambda: start(Step.ANSWER, port=gone.port))
        again.start()
        assert client.predict_bytes([b"abc"])["size"].tolist() == [3]
        again.join()


def test_connection_that_the_server_closes_after_each_answer_is_no_failure() -> None:
    with (
        ScriptedRest(Script(Step.ANSWER_AND_CLOSE)) as server,
        Client(server.url, retries=0) as client,
    ):
        for _ in range(20):
            client.predict_bytes([b"abc"])
    assert server.script.count == 20
