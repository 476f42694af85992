from pathlib import Path

import pytest

from serving.config import BatchOptions, ServerConfig
from serving.errors import UsageError
from serving.flags import parse_command_line


def parse(*words: str) -> ServerConfig:
    config = parse_command_line(words).config
    assert config is not None
    return config


def test_a_path_is_served_on_this_machine_with_rest() -> None:
    config = parse("models")

    assert (config.folder, config.models) == (Path("models"), ())
    assert (config.host, config.grpc_port, config.rest_port) == ("127.0.0.1", 8500, 8501)


def test_tensorflow_model_server_spelling_has_its_defaults() -> None:
    config = parse("--model_base_path=/models/flowers")

    assert [(model.name, model.base_path) for model in config.models] == [
        ("default", Path("/models/flowers"))
    ]
    assert (config.host, config.grpc_port, config.rest_port) == ("0.0.0.0", 8500, None)
    assert (config.poll_s, config.max_load_retries, config.load_retry_s) == (1, 5, 60)
    assert config.rest_timeout_ms == 30_000


@pytest.mark.parametrize(
    "words",
    [
        ("models", "--rest_api_port=9"),
        ("--rest_api_port", "9", "models"),
        ("--rest-api-port=9", "models"),
        ("models", "--rest-api-port", "9"),
    ],
)
def test_flags_take_underscores_dashes_and_both_ways_to_give_a_value(
    words: tuple[str, ...],
) -> None:
    assert parse(*words).rest_port == 9


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--enable_model_warmup", "models"), True),
        (("--enable_model_warmup=false", "models"), False),
        (("--enable_model_warmup", "false", "models"), False),
        (("--enable_model_warmup=0", "models"), False),
    ],
)
def test_a_flag_that_is_on_or_off_does_not_swallow_the_path(
    words: tuple[str, ...], expected: bool
) -> None:
    config = parse(*words)

    assert (config.load.warm_up, config.folder) == (expected, Path("models"))


def test_flags_reach_what_they_are_for() -> None:
    config = parse(
        "models",
        "--tensorflow_session_parallelism=3",
        "--tensorflow_inter_op_parallelism=1",
        "--saved_model_tags=serve,gpu",
        "--grpc_channel_arguments=grpc.max_connection_age_ms=2000,grpc.primary_user_agent=x",
        "--load_retry_interval_micros=1500000",
        "--num_request_iterations_for_warmup=2",
        "--rest_api_max_json_depth=64",
    )

    assert (config.load.intra_op_parallelism, config.load.inter_op_parallelism) == (3, 1)
    assert config.load.tags == ("serve", "gpu")
    assert config.grpc_arguments == (
        ("grpc.max_connection_age_ms", 2000),
        ("grpc.primary_user_agent", "x"),
    )
    assert (config.load_retry_s, config.load.warmup_iterations) == (1.5, 2)
    assert (config.rest_most_json_depth, parse("models").rest_most_json_depth) == (64, 1024)


def test_file_of_models_wins_over_the_one_that_the_image_always_names() -> None:
    config = parse(
        "--model_name=model",
        "--model_base_path=/models/model",
        "--model_config_file=/models/models.config",
        "--model_config_file_poll_wait_seconds=30",
        "--allow_version_labels_for_unavailable_models=true",
    )

    assert config.models == ()
    assert config.models_file == Path("/models/models.config")
    assert config.models_file_poll_s == 30
    assert config.allow_labels_of_absent_versions


def test_flags_without_effect_are_accepted_and_named() -> None:
    command = parse_command_line(["models", "--enable_profiler", "--num-load-threads=2"])

    assert command.without_effect == ("num_load_threads", "enable_profiler")


def test_batching_is_asked_for_forbidden_or_left_to_the_model(tmp_path: Path) -> None:
    file = tmp_path / "batching"
    file.write_text("max_batch_size { value: 4 }")

    assert parse("models").load.batches is None
    assert parse("models").load.batching == BatchOptions()
    assert parse("models", "--enable_batching=false").load.batches is False
    asked = parse("models", "--enable_batching")
    assert (asked.load.batches, asked.load.batching.max_batch_size) == (True, 1000)
    words = ("--enable_batching", f"--batching_parameters_file={file}")
    with_file = parse("models", *words, "--enable_per_model_batching_parameters")
    assert with_file.load.batching.max_batch_size == 4
    assert with_file.load.has_model_batching


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing to serve"),
        (("models", "--model_base_pth=x"), "did you mean --model_base_path?"),
        (("models", "--frobnicate"), "unknown flag --frobnicate"),
        (("models", "more"), "one PATH is served, got 2: models more"),
        (("models", "--model_base_path=x"), r"PATH \(models\) and --model_base_path"),
        (("models", "--port"), "--port needs a value"),
        (("models", "--port=http"), "invalid int value: 'http'"),
        (("models", "--port=70000"), "--port is 70000: give a port from 0 to 65535"),
        (("models", "--port=9", "--rest_api_port=9"), "are both 9"),
        (("models", "--enable_model_warmup=maybe"), "'maybe' is neither true nor false"),
        (("models", "--batching_parameters_file=x"), "needs --enable_batching"),
        (("models", "--enable_per_model_batching_parameters"), "needs --enable_batching"),
        (("models", "--model_config_file=x"), r"PATH \(models\) and --model_config_file"),
        (("models", "--use_alts_credentials"), "--use_alts_credentials is not supported"),
        (("--model_base_path=x", "--model_name=a/b"), "model name 'a/b' cannot be used in a URL"),
        (("models", "--per_process_gpu_memory_fraction=2"), "give a number from 0 to 1"),
        (("models", "--grpc_channel_arguments=x"), "write it as key=value"),
        (("models", f"--grpc_channel_arguments=x={2**31}"), "gRPC takes 32-bit numbers"),
        (("models", "--shutdown_grace_seconds=nan"), "shutdown_grace_seconds: 'nan' is no number"),
        (("models", "--shutdown_grace_seconds=-1"), "grace_seconds is -1.0: give 0 or more"),
        (
            ("models", "--rest_api_read_timeout_seconds=inf"),
            "'inf' is no number of up to 1,000,000",
        ),
        (("models", "--rest_api_read_timeout_seconds=-3"), "is -3.0: give more than 0"),
        (("models", "--file_system_poll_wait_seconds=1e300"), "wait_seconds: '1e300' is no number"),
        (("models", "--model_config_file_poll_wait_seconds=-2"), "is -2.0: give 0 or more"),
        (("models", "--request_log_sampling_rate=NaN"), "sampling_rate: 'NaN' is no number"),
        (("models", "--request_log_sampling_rate=-0.1"), "--request_log_sampling_rate is -0.1"),
        (("models", "--rest_api_timeout_in_ms=-1"), "--rest_api_timeout_in_ms is -1: give 0 or"),
        (("models", "--max_num_load_retries=-1"), "--max_num_load_retries is -1: give 0 or more"),
        (("models", "--load_retry_interval_micros=-1"), "interval_micros is -1: give 0 or more"),
        (("models", "--num_request_iterations_for_warmup=-1"), "is -1: give at least 1"),
        (("models", "--tensorflow_intra_op_parallelism=-2"), "is -2: give 0 or more"),
        (("models", "--max_picture_pixels=0"), "--max_picture_pixels is 0: give at least 1"),
        (("models", "--allow_ops=WriteFile,PrntV2"), "has 'PrntV2', .* did you mean PrintV2?"),
        (("models", "--allow_ops=MatMul,WriteFile"), "'MatMul', .* all others are allowed anyway"),
        (("models", "--rest_api_max_json_depth=0"), "depth is 0: give a number from 1 to 1024"),
        (("models", "--rest_api_max_json_depth=1025"), "as deep as JSON is read"),
        (("models", "--grpc_max_threads=-1"), "--grpc_max_threads is -1: give at least 1"),
        (
            (
                "models",
                "--tensorflow_session_parallelism=1",
                "--tensorflow_intra_op_parallelism=1",
                "--tensorflow_inter_op_parallelism=1",
            ),
            "--tensorflow_session_parallelism sets both",
        ),
    ],
)
def test_a_wrong_command_line_is_refused_with_what_to_do(
    words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        parse_command_line(words)


def test_help_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_command_line(["--help"])

    assert caught.value.code == 0
    text = capsys.readouterr().out
    for flag in ("--rest_api_port", "--enable_batching", "--ssl_config_file", "--host"):
        assert flag in text
