"""Files of batching parameters, in protobuf's text format."""

import os
from pathlib import Path

import pytest

from serving.batching_file import read_batching_file, tf_serving_defaults
from serving.config import BatchOptions
from serving.errors import StartError


def read(tmp_path: Path, text: str) -> BatchOptions:
    file = tmp_path / "batching.config"
    file.write_text(text)
    return read_batching_file(file)


def test_values_are_read_and_the_rest_is_as_in_tf_serving(tmp_path: Path) -> None:
    options = read(
        tmp_path,
        """
        max_batch_size { value: 128 }
        batch_timeout_micros { value: 0 }
        max_enqueued_batches { value: 1000000 }
        num_batch_threads { value: 8 }
        thread_pool_name { value: "any" }
        allowed_batch_sizes: 64
        allowed_batch_sizes: 128
        pad_variable_length_inputs: true
        """,
    )

    assert options == BatchOptions(
        max_batch_size=128, batch_timeout_micros=0, max_enqueued_batches=1_000_000,
        num_batch_threads=8, allowed_batch_sizes=(64, 128), splits_large=False,
        max_execution_batch_size=128,
    )  # fmt: skip
    defaults = tf_serving_defaults()
    assert read(tmp_path, "") == defaults
    assert (defaults.max_batch_size, defaults.max_enqueued_batches) == (1000, 10)
    assert (defaults.batch_timeout_micros, defaults.num_batch_threads) == (0, os.cpu_count())


def test_larger_requests_may_be_split(tmp_path: Path) -> None:
    options = read(
        tmp_path,
        "max_batch_size { value: 100 } enable_large_batch_splitting { value: true } "
        "max_execution_batch_size { value: 10 }",
    )

    assert (options.splits_large, options.max_execution_batch_size) == (True, 10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_size: 3", "Invalid protobuf file"),
        ("max_batch_sice { value: 3 }", "Invalid protobuf file.*max_batch_sice"),
        ("max_batch_size { value: 0 }", "max_batch_size is 0: give at least 1"),
        ("num_batch_threads { value: -1 }", "num_batch_threads is -1"),
        ("batch_timeout_micros { value: -5 }", "batch_timeout_micros is -5"),
        ("allowed_batch_sizes: 8 allowed_batch_sizes: 4", "in ascending order"),
        (
            "max_batch_size { value: 16 } allowed_batch_sizes: 8",
            "allowed_batch_sizes end with 8: the last one has to be max_batch_size, 16",
        ),
        (
            "max_batch_size { value: 16 } enable_large_batch_splitting { value: true } "
            "max_execution_batch_size { value: 32 }",
            "max_execution_batch_size is 32: give at most max_batch_size, 16",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_words(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(StartError, match=message):
        read(tmp_path, text)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot read .*absent: No such file"):
        read_batching_file(tmp_path / "absent")
