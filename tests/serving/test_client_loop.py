"""The client's own thread, from the import to the end."""

import os
import subprocess
import sys
import threading

import pytest

import serving
from serving import Client
from serving.errors import Closed

from .scripted_servers import Script, ScriptedRest, Step


def test_call_of_a_client_that_is_closed_meanwhile_ends() -> None:
    with ScriptedRest(Script(Step.HANG)) as server:
        client = Client(server.url)
        timer = threading.Timer(0.2, client.close)
        timer.start()
        with pytest.raises(Closed, match="before the answer came"):
            client.predict_bytes([b"a"])
        timer.join()


def test_client_that_nobody_closes_ends_its_thread() -> None:
    client = Client("http://localhost/m")
    thread = client._loop._thread
    del client
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_client_of_the_process_before_a_fork_says_so() -> None:
    # In a process of its own, which has no threads of TensorFlow.
    program = """
import os
from serving import Client
from serving.errors import Closed
client = Client("http://localhost:9/m")
if os.fork() == 0:
    try:
        client.status()
    except Closed as error:
        os._exit(7 if "forked" in str(error) else 1)
    os._exit(2)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout == "7\n"


def test_front_is_imported_when_it_is_used_and_without_tensorflow() -> None:
    program = """
import sys
import serving
assert "serving.client" not in sys.modules
serving.AsyncClient("http://localhost/m")
with serving.Client("http://localhost/m"):
    print(sorted({"tensorflow", "grpc", "PIL", "keras", "tl"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert set(serving.__all__) == {"AsyncClient", "Client"}
    with pytest.raises(AttributeError, match="no attribute 'Klient'"):
        serving.Klient  # noqa: B018
