"""One loaded version of a model: named arrays in, named arrays out.

A SavedModel is loaded into a session, as TF Serving does, and not with `tf.saved_model.load`:
the feeds of a session's callable are not checked against the signature's declared shape, TF1
models and `output_filter` work by themselves, and closing the session frees the memory.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import Error as ProtobufError
from numpy.typing import NDArray
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import config_pb2

from serving.config import LoadOptions
from serving.errors import Code, InvalidArgument, LoadError, ModelError, Unimplemented

DEFAULT_SIGNATURE = "serving_default"

# A callable is one compiled subgraph. A signature needs one for all its outputs and one for each
# output filter that clients use; the bound keeps a client that tries them all from filling memory.
_KEPT_CALLABLES = 64

Array = NDArray[Any]


class Servable:
    """A version that can be run, from several threads at once, until it is closed.

    Attributes:
        name: of the model.
        version: of the model.
        signatures: name -> `SignatureDef` of the SavedModel.
    """

    def __init__(self, name: str, version: int, session: Any, signatures: Mapping[str, Any]):
        self.name = name
        self.version = version
        self.signatures = signatures
        self._session = session
        # Per instance, so that what is cached goes with the version.
        self._callable = functools.lru_cache(maxsize=_KEPT_CALLABLES)(self._make_callable)

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
        """
        signature = self.signatures[signature_name]
        feeds = [
            inputs[name] if name in inputs else tf.make_ndarray(signature.defaults[name])
            for name in sorted(signature.inputs)
        ]
        fetched_names = [signature.outputs[name].name for name in outputs]
        # Two outputs may be one tensor, which a callable can fetch only once.
        fetches = tuple(dict.fromkeys(fetched_names))
        try:
            values = self._callable(signature_name, fetches, timeout_ms)(*feeds)
        except tf.errors.OpError as error:
            raise ModelError(Code(error.error_code), error.message) from error
        except (TypeError, ValueError) as error:
            # An array that has no tensor, such as one of Python objects.
            raise InvalidArgument(str(error)) from error
        by_tensor = dict(zip(fetches, map(_as_array, values), strict=True))
        return {
            name: by_tensor[tensor] for name, tensor in zip(outputs, fetched_names, strict=True)
        }

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
        self._callable.cache_clear()
        self._session.close()

    def _make_callable(self, signature_name: str, fetches: tuple[str, ...], timeout_ms: int) -> Any:
        signature = self.signatures[signature_name]
        options = config_pb2.CallableOptions()
        options.feed.extend(signature.inputs[name].name for name in sorted(signature.inputs))
        options.fetch.extend(fetches)
        options.run_options.timeout_in_ms = timeout_ms
        return self._session._make_callable_from_options(options)


def load_servable(name: str, version: int, path: Path, options: LoadOptions) -> Servable:
    """Read the SavedModel at `path` into memory.

    Raises:
        LoadError: it is damaged, incomplete, or has no graph with the tags asked for.
    """
    graph = tf.Graph()
    session = tf.compat.v1.Session(graph=graph, config=_session_config(options))
    try:
        with graph.as_default():
            meta_graph = tf.compat.v1.saved_model.loader.load(
                session, list(options.tags), str(path)
            )
        graph.finalize()
    except tf.errors.OpError as error:
        session.close()
        raise LoadError(Code(error.error_code), f"cannot load {path}: {error.message}") from error
    except (OSError, RuntimeError, TypeError, ValueError, KeyError, ProtobufError) as error:
        session.close()
        raise LoadError(Code.INVALID_ARGUMENT, f"cannot load {path}: {error}") from error
    # Copied: the graph in the same message would stay in memory a second time.
    signatures = {key: _copy(value) for key, value in meta_graph.signature_def.items()}
    return Servable(name, version, session, signatures)


def input_types(signature: Any) -> dict[str, str]:
    """Give the type of every input of a `SignatureDef`, in TensorFlow's words: `float`, `string`.

    Raises:
        Unimplemented: an input is not a plain tensor.
    """
    types = {}
    for name, info in signature.inputs.items():
        if info.WhichOneof("encoding") not in (None, "name"):
            raise Unimplemented(f"input {name!r} is a sparse or composite tensor: not supported")
        types[name] = types_pb2.DataType.Name(info.dtype).removeprefix("DT_").lower()
    return types


def _session_config(options: LoadOptions) -> Any:
    config = config_pb2.ConfigProto()
    config.intra_op_parallelism_threads = options.intra_op_parallelism
    config.inter_op_parallelism_threads = options.inter_op_parallelism
    config.gpu_options.per_process_gpu_memory_fraction = options.gpu_memory_fraction
    # Ops that have no GPU kernel, such as decoding pictures, run on the CPU.
    config.allow_soft_placement = True
    return config


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
