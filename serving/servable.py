"""One loaded version of a model: named arrays in, named arrays out.

A SavedModel is loaded into a session, as TF Serving does, and not with `tf.saved_model.load`:
the feeds of a session are not checked against the signature's declared shape (below
`Session.run`), TF1 models and `output_filter` work by themselves, and closing it frees the memory.
"""

import dataclasses
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import Error as ProtobufError
from numpy.typing import NDArray
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.client import pywrap_tf_session

from serving.allowed_ops import check_operations
from serving.batching import (
    AFTER_DECODE,
    DECODE,
    Endpoint,
    batched,
    can_batch,
    decoded_apart,
    has_pair,
)
from serving.batching_file import FILE_OF_MODEL, read_batching_file
from serving.config import LoadOptions
from serving.errors import Code, InvalidArgument, LoadError, ModelError, StartError, Unimplemented
from serving.folding import fold_constants
from serving.reach import reached_nodes, writes_state

DEFAULT_SIGNATURE = "serving_default"

# A session keeps what it has prepared for every set of outputs that was asked of it: one for all
# of a signature, and one for each output filter that clients use. The bound keeps a client that
# tries them all from filling memory; beyond it all outputs are computed.
_MOST_FILTERS = 64

# Operations of a model with less than this of weights end sooner than threads that share them would
# be awake, so each runs on one thread, and requests and batches share the processors.
_SMALL_BYTES = 2**25

Array = NDArray[Any]


class Servable:
    """A version that can be run, from several threads at once, until it is closed.

    Attributes:
        name: of the model.
        version: of the model.
        signatures: name -> `SignatureDef` of the SavedModel.
        most_pixels: of a picture that is to be decoded.
    """

    def __init__(
        self,
        name: str,
        version: int,
        session: Any,
        signatures: Mapping[str, Any],
        endpoints: Mapping[str, Endpoint],
        batched: Mapping[str, Endpoint],
        *,
        may_repeat: bool,
        most_pixels: int,
    ) -> None:
        """Take over a session.

        Args:
            name: of the model.
            version: of the model.
            session: with a graph that is finalised.
            signatures: of the model.
            endpoints: where each signature is in the graph.
            batched: where those are whose requests are gathered.
            may_repeat: a request that failed may be run again: it changes nothing.
            most_pixels: of a picture that is to be decoded.
        """
        self.name = name
        self.version = version
        self.signatures = signatures
        self.most_pixels = most_pixels
        self._session = session
        self._endpoints, self._batched, self._may_repeat = endpoints, batched, may_repeat
        self._filters: set[tuple[str, ...]] = set()
        self._tensors: dict[str, Any] = {}
        self._batch_sizes: dict[int, float] = {}
        self._lock = threading.Lock()

    def run(
        self,
        signature_name: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        timeout_ms: int = 0,
    ) -> dict[str, Array]:
        """Run a signature that the model has.

        Args:
            signature_name: a key of `signatures`.
            inputs: every input of the signature that has no default; strings as object arrays of
                bytes, because numpy's own bytes type loses trailing zeros.
            outputs: names of outputs of the signature.
            timeout_ms: ends the wait for the model; 0 waits for ever.

        Returns:
            An array for each of `outputs`, strings as object arrays of bytes.

        Raises:
            ModelError: TensorFlow refused the inputs or took too long.
            Unimplemented: an output is sparse, composite, or none.
        """
        signature = self.signatures[signature_name]
        given = {
            name: inputs[name] if name in inputs else tf.make_ndarray(signature.defaults[name])
            for name in signature.inputs
        }
        gathered, alone = self._batched.get(signature_name), self._endpoints.get(signature_name)
        if alone is None:
            raise Unimplemented(f"signature {signature_name!r} does not answer with plain tensors")
        if gathered is None or not _have_rows(given.values()):
            return self._run(alone, given, outputs, timeout_ms)
        try:
            return self._run(gathered, given, outputs, timeout_ms)
        except ModelError as error:
            # It may be another request of the batch that cannot be: one of other shapes, or a
            # picture that is none. By itself each is told what is wrong with it, or answered.
            if error.code is not Code.INVALID_ARGUMENT or not self._may_repeat:
                raise
        return self._run(alone, given, outputs, timeout_ms)

    def _run(
        self,
        endpoint: Endpoint,
        given: Mapping[str, Array],
        outputs: Sequence[str],
        timeout_ms: int,
    ) -> dict[str, Array]:
        # Two outputs may be one tensor.
        fetches = tuple(sorted({endpoint.fetches[name] for name in outputs}))
        every = tuple(sorted(set(endpoint.fetches.values())))
        if fetches != every:
            if len(self._filters) < _MOST_FILTERS:
                self._filters.add(fetches)
            elif fetches not in self._filters:
                fetches = every
        feeds = {endpoint.feeds[name]: array for name, array in given.items()}
        if endpoint.batch_rows:
            *values, n_rows = self._session_run(feeds, (*fetches, endpoint.batch_rows), timeout_ms)
            self._note_batch(n_rows)
        else:
            values = self._session_run(feeds, fetches, timeout_ms)
        by_tensor = dict(zip(fetches, map(_as_array, values), strict=True))
        return {name: by_tensor[endpoint.fetches[name]] for name in outputs}

    def _note_batch(self, n_rows: Array) -> None:
        with self._lock:
            # Each row is its part of a batch.
            for size in n_rows.tolist():
                self._batch_sizes[size] = self._batch_sizes.get(size, 0.0) + 1 / size

    def batch_sizes(self) -> dict[int, float]:
        """Give how many batches of how many rows were run, for the signatures that gather them.

        Rows that fill a batch up to an allowed size belong to no request: such a batch counts by
        the share that is asked for.
        """
        with self._lock:
            return dict(self._batch_sizes)

    def _session_run(
        self, feeds: Mapping[str, Array], fetches: Sequence[str], timeout_ms: int
    ) -> list[Any]:
        """Run tensors, without the checks and the bookkeeping of `Session.run`."""
        options = None
        if timeout_ms:
            words = config_pb2.RunOptions(timeout_in_ms=timeout_ms).SerializeToString()
            options = pywrap_tf_session.TF_NewBufferFromString(words)
        try:
            values: list[Any] = self._session._call_tf_sessionrun(
                options,
                {self._tensor(name): array for name, array in feeds.items()},
                [self._tensor(name) for name in fetches],
                [],
                None,
            )
        except tf.errors.OpError as error:
            raise ModelError(Code(error.error_code), error.message) from error
        except (TypeError, ValueError) as error:
            # An array that has no tensor, such as one of Python objects.
            raise InvalidArgument(str(error)) from error
        finally:
            if options is not None:
                pywrap_tf_session.TF_DeleteBuffer(options)
        return values

    def _tensor(self, name: str) -> Any:
        """Return what the session calls a tensor; looked up once, as it takes a lock."""
        if (found := self._tensors.get(name)) is None:
            found = self._session.graph.get_tensor_by_name(name)._as_tf_output()
            self._tensors[name] = found
        return found

    def run_tensors(
        self, feeds: Mapping[str, Array], fetches: Sequence[str], targets: Sequence[str]
    ) -> None:
        """Run tensors and operations of the graph by their own names, for what that does.

        Raises:
            ModelError: TensorFlow refused them.
        """
        try:
            self._session.run([*fetches, *targets], feed_dict=dict(feeds))
        except tf.errors.OpError as error:
            raise ModelError(Code(error.error_code), error.message) from error
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidArgument(str(error)) from error

    def close(self) -> None:
        """Free the memory of the model; nothing may be running or run afterwards."""
        self._session.close()


def load_servable(name: str, version: int, path: Path, options: LoadOptions) -> Servable:
    """Read the SavedModel at `path` into memory.

    Raises:
        LoadError: it is damaged, incomplete, or has no graph with the tags asked for.
    """
    try:
        check_operations(path, options.tags, options.allowed_ops)
    except (OSError, ValueError, ProtobufError) as error:
        raise LoadError(Code.INVALID_ARGUMENT, f"cannot load {path}: {error}") from error
    graph = tf.Graph()
    session = tf.compat.v1.Session(graph=graph, config=_session_config(options, path))
    try:
        with graph.as_default():
            meta_graph = tf.compat.v1.saved_model.loader.load(
                session, list(options.tags), str(path)
            )
        # Copied: the graph in the same message would stay in memory a second time.
        signatures = {key: _copy(value) for key, value in meta_graph.signature_def.items()}
        del meta_graph
        own = path / FILE_OF_MODEL
        if options.has_model_batching and own.is_file():
            options = dataclasses.replace(options, batching=read_batching_file(own))
        servable = _prepare(name, version, session, signatures, options)
        graph.finalize()
        # What `Session.run` does before each call; the graph does not change any more.
        session._extend_graph()
    except tf.errors.OpError as error:
        session.close()
        raise LoadError(Code(error.error_code), f"cannot load {path}: {error.message}") from error
    except (OSError, RuntimeError, TypeError, ValueError, KeyError, ProtobufError) as error:
        session.close()
        raise LoadError(Code.INVALID_ARGUMENT, f"cannot load {path}: {error}") from error
    except StartError as error:
        session.close()
        raise LoadError(Code.INVALID_ARGUMENT, f"cannot load {path}: {error.message}") from error
    return servable


def _prepare(
    name: str, version: int, session: Any, signatures: Mapping[str, Any], options: LoadOptions
) -> Servable:
    """Fold constants, add batching, and return the version."""
    graph = session.graph
    plain = {
        key: Endpoint(
            {one: info.name for one, info in signature.inputs.items()},
            {one: info.name for one, info in signature.outputs.items()},
        )
        for key, signature in signatures.items()
        # The one that initialises a model has an operation for an output.
        if all(_is_plain(one) and ":" in one.name for one in signature.outputs.values())
    }
    inputs = {tensor for one in plain.values() for tensor in one.feeds.values()}
    outputs = {tensor for one in plain.values() for tensor in one.fetches.values()}
    folded = fold_constants(session, graph, inputs, outputs)
    may_repeat = folded is not None or not writes_state(
        reached_nodes(graph.as_graph_def(), {tensor.split(":")[0] for tensor in outputs})
    )
    if folded is not None:
        plain = {
            key: Endpoint(one.feeds, {out: folded[tensor] for out, tensor in one.fetches.items()})
            for key, one in plain.items()
        }
    gathered = {}
    for key, endpoint in plain.items():
        label = f"{name}/{version}/{key}"
        if options.batches is not False and has_pair(signatures, key):
            pair = plain[DECODE], plain[AFTER_DECODE]
            gathered[key] = decoded_apart(graph, *pair, label, options.batching)
        elif options.batches and can_batch(signatures[key]):
            gathered[key] = batched(graph, endpoint, label, options.batching)
    return Servable(
        name,
        version,
        session,
        signatures,
        plain,
        gathered,
        may_repeat=may_repeat,
        most_pixels=options.most_pixels,
    )


def _is_plain(info: Any) -> bool:
    """Tell whether an input or output is one tensor, and not a sparse or composite one."""
    return info.WhichOneof("encoding") in (None, "name")


def _have_rows(arrays: Iterable[Array]) -> bool:
    """Tell whether arrays have as many rows as each other, and any."""
    counts = {len(array) if array.ndim else 0 for array in arrays}
    return len(counts) == 1 and 0 not in counts


def input_types(signature: Any) -> dict[str, str]:
    """Give the type of every input of a `SignatureDef`, in TensorFlow's words: `float`, `string`.

    Raises:
        Unimplemented: an input is not a plain tensor.
    """
    types = {}
    for name, info in signature.inputs.items():
        if not _is_plain(info):
            raise Unimplemented(f"input {name!r} is a sparse or composite tensor: not supported")
        types[name] = types_pb2.DataType.Name(info.dtype).removeprefix("DT_").lower()
    return types


def _session_config(options: LoadOptions, path: Path) -> Any:
    config = config_pb2.ConfigProto()
    config.intra_op_parallelism_threads = options.intra_op_parallelism or (
        1 if _size_of(path) < _SMALL_BYTES else 0
    )
    config.inter_op_parallelism_threads = options.inter_op_parallelism
    config.gpu_options.per_process_gpu_memory_fraction = options.gpu_memory_fraction
    # Ops that have no GPU kernel, such as decoding pictures, run on the CPU.
    config.allow_soft_placement = True
    return config


def _size_of(path: Path) -> int:
    files = [path / "saved_model.pb", *path.glob("variables/variables.data-*")]
    return sum(file.stat().st_size for file in files if file.is_file())


def _as_array(value: object) -> Array:
    if isinstance(value, bytes):
        # `np.asarray` would make the type that loses trailing zeros.
        scalar = np.empty((), dtype=object)
        scalar[()] = value
        return scalar
    return np.asarray(value)


def _copy(message: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
