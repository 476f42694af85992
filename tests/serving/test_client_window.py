"""How much is under way at once, and how it is given up: failures, interrupts, cancellation."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from serving import AsyncClient, Client
from serving.client_window import as_one_call, left_in_peace
from serving.errors import Code, Refused

from .scripted_servers import Script, ScriptedGrpc, ScriptedRest, Step


@pytest.mark.parametrize("scripted", [ScriptedRest, ScriptedGrpc])
def test_no_more_is_under_way_and_read_than_allowed(scripted: Any) -> None:
    taken = 0

    def pictures() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(30):
            taken += 1
            yield b"abc"

    with scripted(Script(Step.ANSWER_LATE)) as server, Client(server.url) as client:
        answers = client.predict_each(pictures(), batch_size=2, concurrency=3)
        next(answers)
        assert taken == 6
        assert sum(1 for _ in answers) == 29
        assert server.script.most_at_once == 3


@pytest.mark.parametrize("scripted", [ScriptedRest, ScriptedGrpc])
def test_first_failure_ends_what_is_under_way_and_begins_nothing_more(scripted: Any) -> None:
    steps = [Step.HANG, Step.ANSWER, Step.SAY_INVALID, Step.HANG]
    with scripted(Script(*steps)) as server, Client(server.url) as client:
        with pytest.raises(Refused, match="picture .: .*SAY_INVALID"):
            client.predict([b"a"] * 1000, batch_size=1, concurrency=3)
        assert server.script.count <= 4


def test_failure_that_nobody_waits_for_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    async def work(wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        raise Refused(Code.INTERNAL, "of all")

    async def run() -> None:
        begin = left_in_peace(as_one_call(work))
        with pytest.raises(Refused):
            await asyncio.create_task(begin(0))
        # Begun before the failure was seen, and then given up.
        late = asyncio.create_task(begin(60))
        await asyncio.sleep(0.01)
        late.cancel()
        await asyncio.sleep(0.01)
        assert late.done()
        assert not late.cancelled()

    asyncio.run(run())
    gc.collect()  # asyncio tells of a failure when its task is forgotten
    assert not caplog.records


@pytest.mark.parametrize("scripted", [ScriptedRest, ScriptedGrpc])
def test_interrupt_ends_the_call_and_leaves_no_thread(scripted: Any) -> None:
    with scripted(Script(Step.HANG)) as server:
        before = set(threading.enumerate())
        with Client(server.url) as client:
            for call in (client.predict, client.predict_bytes):
                timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
                timer.start()
                with pytest.raises(KeyboardInterrupt):
                    call([b"a"] * 20)
                timer.join()
        left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not {name for name in left if "serving-client" in name or "asyncio" in name}


def test_process_that_is_interrupted_ends_at_once() -> None:
    program = (
        "import os, sys, signal, threading; from serving import Client\n"
        "threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "Client(sys.argv[1]).predict([b'a'] * 20)"
    )
    with ScriptedRest(Script(Step.HANG)) as server:
        done = subprocess.run(
            [sys.executable, "-c", program, server.url], capture_output=True, text=True, timeout=20
        )
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")


def test_task_that_is_cancelled_cancels_its_requests() -> None:
    async def run(url: str) -> None:
        async with AsyncClient(url) as client:
            task = asyncio.create_task(client.predict([b"a"] * 20))
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    for scripted in (ScriptedRest, ScriptedGrpc):
        with scripted(Script(Step.HANG)) as server:
            asyncio.run(run(server.url))


def test_async_requests_are_under_way_together() -> None:
    async def run(url: str) -> None:
        async with AsyncClient(url) as client:
            answers = await asyncio.gather(*(client.predict_bytes([b"a"]) for _ in range(8)))
        assert [answer["size"].tolist() for answer in answers] == [[1]] * 8

    for scripted in (ScriptedRest, ScriptedGrpc):
        with scripted(Script(Step.ANSWER_LATE)) as server:
            asyncio.run(run(server.url))
            assert server.script.most_at_once > 4
