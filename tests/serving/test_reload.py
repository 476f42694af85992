"""A server of several models by a file: labels in the path, another configuration while it runs."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import (
    model_management_pb2,
    model_service_pb2_grpc,
)

CONFIG = """
    config {{
        name: "flowers" base_path: "{folder}/flowers" model_platform: "tensorflow"
        model_version_policy {{ all {{}} }}
        version_labels {{ key: "stable" value: {stable} }}
    }}
"""
NUMBERS = 'config {{ name: "numbers" base_path: "{folder}/numbers" model_platform: "tensorflow" }}'
PICTURE = {"instances": [{"b64": "AAAA"}]}


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, put_version: Callable[[str, Path], None]
) -> Path:
    folder = tmp_path_factory.mktemp("fleet")
    put_version("cats", folder / "flowers" / "1")
    put_version("birds", folder / "flowers" / "2")
    put_version("numbers", folder / "numbers" / "1")
    text = CONFIG.format(folder=folder, stable=1)
    (folder / "models.config").write_text(f"model_config_list {{ {text} }}")
    return folder


@pytest.fixture(scope="module")
def running(folder: Path, start_server: Callable[..., Any]) -> Any:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = start_server(
        f"--model_config_file={folder / 'models.config'}",
        "--model_name=model",  # as the image of TF Serving passes them
        "--model_base_path=/models/model",
        "--host=127.0.0.1",
        "--port=0",
        f"--rest_api_port={port}",
        "--file_system_poll_wait_seconds=0.2",
    )
    server.wait_for_addresses()
    return server


def reload(server: Any, *configs: str) -> Any:
    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(f"model_config_list {{ {' '.join(configs)} }}", request.config)
    with server.channel as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        return stub.HandleReloadConfigRequest(request, timeout=120)


def labels_of(server: Any, path: str) -> list[str]:
    status, answer = server.call(f"/v1/models/flowers{path}:predict", PICTURE)
    assert status == 200, answer
    labels: list[str] = answer["predictions"][0]["labels"]
    return labels


def test_requests_choose_a_version_by_number_or_label_and_configurations_are_replaced(
    running: Any, folder: Path
) -> None:
    assert labels_of(running, "") == labels_of(running, "/versions/2") == ["owl", "wren", "kite"]
    assert labels_of(running, "/labels/stable") == ["lynx", "puma"]
    assert running.call("/v1/models/numbers")[0] == 404

    answer = reload(running, CONFIG.format(folder=folder, stable=2), NUMBERS.format(folder=folder))

    assert answer.status.error_code == 0
    assert labels_of(running, "/labels/stable") == ["owl", "wren", "kite"]
    assert running.call("/v1/models/numbers:predict", {"instances": [2.0]}) == (
        200, {"predictions": [3.0]}
    )  # fmt: skip

    reload(running, CONFIG.format(folder=folder, stable=2))
    assert running.call("/v1/models/numbers:predict", {"instances": [2.0]})[0] == 404
    assert [one["name"] for one in running.call("/v1/models")[1]["models"]] == ["flowers"]


@pytest.mark.parametrize(
    ("configs", "code", "message"),
    [
        (['config {{ name: "x" base_path: "x" model_platform: "tensorflow" }}'],
         grpc.StatusCode.INVALID_ARGUMENT, "Expected model x to have an absolute path"),
        ([CONFIG, CONFIG],
         grpc.StatusCode.INVALID_ARGUMENT, "list model flowers multiple times"),
        ([CONFIG.replace("{stable}", "7")],
         grpc.StatusCode.FAILED_PRECONDITION, "assign label stable to version 7"),
        ([CONFIG, 'config {{ name: "x" base_path: "/nowhere" model_platform: "tensorflow" }}'],
         grpc.StatusCode.UNKNOWN, "Could not find base path /nowhere"),
    ],
)  # fmt: skip
def test_configurations_that_cannot_be_are_refused_and_the_rest_serves_on(
    configs: list[str], code: grpc.StatusCode, message: str, running: Any, folder: Path
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        reload(running, *(one.format(folder=folder, stable=1) for one in configs))

    assert caught.value.code() is code
    assert message in str(caught.value.details())
    assert labels_of(running, "/versions/1") == ["lynx", "puma"]


def test_reload_without_models_is_refused(running: Any) -> None:
    empty = model_management_pb2.ReloadConfigRequest()
    with running.channel as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.HandleReloadConfigRequest(empty, timeout=60)

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "Only ModelConfigList is currently supported" in str(caught.value.details())
