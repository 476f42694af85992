"""What the server is told to do: frozen values, checked when they are made.

Filled from the command line in `flags`, read everywhere else; nothing here touches the file
system, the network or TensorFlow.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from serving.errors import UsageError

MOST_JSON_DEPTH = 1024  # as deep as orjson reads
METRICS_PATH = "/monitoring/prometheus/metrics"  # where TF Serving has it


def default_threads() -> int:
    """Threads of a pool that blocks in TensorFlow: four a CPU, as TF Serving takes, or more.

    Requests of one batch each block a thread, so few of them would make small batches; many cost
    a tenth of what is answered under more load than can be (docs/benchmarks.md).
    """
    return max(32, 4 * (os.cpu_count() or 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionPolicy:
    """Which of the versions on disk are served: some by number, or so many of the newest.

    Attributes:
        n_latest: how many of the newest; None is all. Without effect where `versions` are given.
        versions: these and no others; None where the newest are wanted.
    """

    n_latest: int | None = 1
    versions: frozenset[int] | None = None

    def wanted(self, on_disk: Collection[int]) -> frozenset[int]:
        """Choose among the versions on disk."""
        if self.versions is not None:
            return self.versions & frozenset(on_disk)
        newest_first = sorted(on_disk, reverse=True)
        return frozenset(newest_first[: self.n_latest])


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """Where a sample of requests is kept.

    Attributes:
        prefix: of the files' paths.
        sampling_rate: share of the requests, 0 to 1.
    """

    prefix: str
    sampling_rate: float

    def __post_init__(self) -> None:
        if not 0 <= self.sampling_rate <= 1:
            raise UsageError(f"the sampling rate is {self.sampling_rate}: give a number of 0 to 1")
        if not self.prefix:
            raise UsageError("requests are to be logged, and no prefix of files says where")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """One model of a server.

    Attributes:
        name: that requests call it by.
        base_path: the folder of its numbered versions.
        policy: which of them are served.
        labels: names of versions, such as `stable`, that requests may use in place of numbers.
        log: of its requests; None is the server's.
    """

    name: str
    base_path: Path
    policy: VersionPolicy = field(default_factory=VersionPolicy)
    labels: Mapping[str, int] = field(default_factory=dict)
    log: LogConfig | None = None

    def __post_init__(self) -> None:
        # The name is one segment of the URL, where a colon starts the verb (`:predict`).
        if not self.name or "/" in self.name or ":" in self.name:
            raise UsageError(
                f"model name {self.name!r} cannot be used in a URL: give one that is not empty "
                "and has no '/' and no ':'"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """How requests wait for each other to be run as one batch: TF Serving's BatchingParameters.

    Attributes:
        max_batch_size: rows that wait together.
        batch_timeout_micros: microseconds that a batch waits for more rows; 0 takes what is there
            as soon as a thread is free.
        max_enqueued_batches: that wait; requests beyond them are refused.
        num_batch_threads: batches of one signature that run at the same time.
        allowed_batch_sizes: to which batches are filled up, ascending; empty for any size.
        splits_large: run requests in parts where they do not fit.
        max_execution_batch_size: rows that are run at a time; less than `max_batch_size` only
            where larger requests are split.
    """

    max_batch_size: int = 1024
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 16
    num_batch_threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    allowed_batch_sizes: tuple[int, ...] = ()
    splits_large: bool = True
    max_execution_batch_size: int = 32

    def __post_init__(self) -> None:
        for name in (
            "max_batch_size",
            "max_enqueued_batches",
            "num_batch_threads",
            "max_execution_batch_size",
        ):
            if (value := getattr(self, name)) < 1:
                raise UsageError(f"{name} is {value}: give at least 1")
        if self.batch_timeout_micros < 0:
            raise UsageError(f"batch_timeout_micros is {self.batch_timeout_micros}: give 0 or more")
        if self.max_execution_batch_size > self.max_batch_size:
            raise UsageError(
                f"max_execution_batch_size is {self.max_execution_batch_size}: give at most "
                f"max_batch_size, {self.max_batch_size}"
            )
        sizes = self.allowed_batch_sizes
        if sizes and (list(sizes) != sorted(set(sizes)) or sizes[0] < 1):
            raise UsageError(f"allowed_batch_sizes are {list(sizes)}: give them in ascending order")
        last = "max_execution_batch_size" if self.splits_large else "max_batch_size"
        if sizes and sizes[-1] != getattr(self, last):
            raise UsageError(
                f"allowed_batch_sizes end with {sizes[-1]}: the last one has to be {last}, "
                f"{getattr(self, last)}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How a version is read from disk and run.

    The parallelism fields count threads; 0 leaves the choice to TensorFlow.
    """

    tags: tuple[str, ...] = ("serve",)
    intra_op_parallelism: int = 0
    inter_op_parallelism: int = 0
    gpu_memory_fraction: float = 0.0  # of each GPU; 0 leaves the choice to TensorFlow
    warm_up: bool = True
    warmup_iterations: int = 1  # times that each recorded request is run
    # Of all signatures, of none, or of those that are made for it (`serving.batching`).
    batches: bool | None = None
    batching: BatchOptions = field(default_factory=BatchOptions)
    allowed_ops: frozenset[str] = frozenset()  # that reach out of the model
    most_pixels: int = 10**8  # of a picture in a request
    has_model_batching: bool = False  # a file in a version's folder says how its requests batch

    def __post_init__(self) -> None:
        if not self.tags or "" in self.tags:
            raise UsageError("--saved_model_tags is empty: give at least one tag, such as serve")
        _check_at_least(1, {"max_picture_pixels": self.most_pixels})
        _check_at_least(1, {"num_request_iterations_for_warmup": self.warmup_iterations})
        for flag, count in (
            ("intra", self.intra_op_parallelism),
            ("inter", self.inter_op_parallelism),
        ):
            _check_at_least(0, {f"tensorflow_{flag}_op_parallelism": count})
        if not 0.0 <= self.gpu_memory_fraction <= 1.0:
            raise UsageError(
                f"--per_process_gpu_memory_fraction is {self.gpu_memory_fraction}: "
                "give a number from 0 to 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Everything `server.serve` needs.

    Exactly one of `models`, `folder` and `models_file` says what to serve. A folder is looked
    through again at every poll: it is a model itself if it holds numbered versions, else each of
    its sub-folders that does is one. A file (`serving.models_file`) is read again every
    `models_file_poll_s` seconds, or only once for 0.
    """

    models: tuple[ModelConfig, ...] = ()
    folder: Path | None = None
    models_file: Path | None = None
    models_file_poll_s: float = 0.0
    wait_for_paths: bool = False  # rather than end where a path is missing at the start
    allow_labels_of_absent_versions: bool = False  # for labels that are new
    load: LoadOptions = field(default_factory=LoadOptions)
    request_log: LogConfig | None = None  # of models whose own configuration has none

    host: str = "127.0.0.1"
    grpc_port: int = 8500  # 0 takes a free one
    grpc_socket_path: str = ""
    grpc_tls_file: Path | None = None  # `serving.tls`; the UNIX socket stays in the clear
    rest_tls_file: Path | None = None
    rest_port: int | None = 8501  # 0 takes a free one; None serves no REST
    rest_threads: int = field(default_factory=default_threads)
    grpc_threads: int = field(default_factory=default_threads)
    max_waiting: int = 128  # requests that wait for a thread, of REST and of gRPC
    grpc_arguments: tuple[tuple[str, str | int], ...] = ()
    rest_most_bytes: int = 2**28  # of a body, as it is sent and unpacked
    rest_most_head_bytes: int = 2**16
    rest_most_json_depth: int = MOST_JSON_DEPTH  # of lists and objects in each other
    rest_read_s: float = 60.0  # for a body to come in
    rest_most_connections: int = 1000
    rest_timeout_ms: int = 30_000  # for the model alone, not for reading the request
    allow_cors: bool = False
    outputs_as_tensor_content: bool = False
    has_health_service: bool = False
    metrics_path: str | None = METRICS_PATH  # None has no page
    access_log: str = ""  # a file, or `-` for stdout; empty is none

    poll_s: float = 1.0  # 0 looks once, at the start; negative never looks
    max_load_retries: int = 5
    load_retry_s: float = 60.0
    shutdown_grace_s: float = 30.0  # requests that take longer are cut off

    def __post_init__(self) -> None:
        if [bool(self.models), self.folder is not None, self.models_file is not None].count(
            True
        ) != 1:
            raise UsageError(
                "give one of: a folder to serve, --model_base_path, --model_config_file"
            )
        for flag, port in (("--port", self.grpc_port), ("--rest_api_port", self.rest_port)):
            if port is not None and not 0 <= port <= 65_535:
                raise UsageError(f"{flag} is {port}: give a port from 0 to 65535")
        if self.rest_port and self.rest_port == self.grpc_port:
            raise UsageError(
                f"--port and --rest_api_port are both {self.rest_port}: gRPC and REST need "
                "a port each"
            )
        for flag, value in (
            ("--rest_api_max_body_bytes", self.rest_most_bytes),
            ("--rest_api_max_header_bytes", self.rest_most_head_bytes),
            ("--rest_api_max_connections", self.rest_most_connections),
            ("--rest_api_read_timeout_seconds", self.rest_read_s),
        ):
            if not value > 0:
                raise UsageError(f"{flag} is {value}: give more than 0")
        if not 1 <= self.rest_most_json_depth <= MOST_JSON_DEPTH:
            raise UsageError(
                f"--rest_api_max_json_depth is {self.rest_most_json_depth}: give a number from 1 "
                f"to {MOST_JSON_DEPTH}, which is as deep as JSON is read"
            )
        _check_at_least(
            0,
            {
                "max_waiting_requests": self.max_waiting,
                "rest_api_timeout_in_ms": self.rest_timeout_ms,
                "model_config_file_poll_wait_seconds": self.models_file_poll_s,
                "max_num_load_retries": self.max_load_retries,
                "load_retry_interval_micros": round(1e6 * self.load_retry_s),
                "shutdown_grace_seconds": self.shutdown_grace_s,
            },
        )
        _check_at_least(
            1, {"rest_api_num_threads": self.rest_threads, "grpc_max_threads": self.grpc_threads}
        )


def _check_at_least(least: int, values: Mapping[str, float]) -> None:
    for flag, value in values.items():
        if not value >= least:
            words = "0 or more" if least == 0 else f"at least {least}"
            raise UsageError(f"--{flag} is {value}: give {words}")
