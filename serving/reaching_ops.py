"""Operations that reach out of a model, and what they do there; names only, without TensorFlow."""

import difflib
from collections.abc import Iterable

from serving.errors import UsageError

# Operations of TensorFlow's own registry, by what they do.
_WRITE_FILES = frozenset(
    {
        "CacheDataset", "CacheDatasetV2", "CloseSummaryWriter", "CreateSummaryDbWriter",
        "CreateSummaryFileWriter", "DatasetToTFRecord", "DebugIdentity", "DebugIdentityV2",
        "DebugIdentityV3", "DebugNanCount", "DebugNumericSummary", "DebugNumericSummaryV2",
        "ExperimentalDatasetToTFRecord", "FlushSummaryWriter", "ImportEvent",
        "MergeV2Checkpoints", "PrintV2", "Save", "SaveDataset", "SaveDatasetV2", "SaveSlices",
        "SaveV2", "SnapshotDataset", "SnapshotDatasetV2", "WriteAudioSummary", "WriteFile",
        "WriteGraphSummary", "WriteHistogramSummary", "WriteImageSummary",
        "WriteRawProtoSummary", "WriteScalarSummary", "WriteSummary",
    }
)  # fmt: skip
_CONNECT = frozenset(
    {
        "DataServiceDataset", "DataServiceDatasetV2", "DataServiceDatasetV3",
        "DataServiceDatasetV4", "RegisterDataset", "RegisterDatasetV2", "RemoteCall",
        "ConfigureDistributedTPU", "RpcCall", "RpcClient", "RpcServer", "RpcServerStart",
    }
)  # fmt: skip
_RUN_PYTHON = frozenset({"EagerPyFunc", "PyFunc", "PyFuncStateless"})
REACHING_OPS = {
    **dict.fromkeys(_WRITE_FILES, "can write files"),
    **dict.fromkeys(_CONNECT, "can open connections"),
    **dict.fromkeys(_RUN_PYTHON, "calls Python"),
}


def check_names(names: Iterable[str]) -> frozenset[str]:
    """Return names of operations that are to be allowed.

    Raises:
        UsageError: one is none of those that are refused otherwise.
    """
    wanted = frozenset(names)
    for name in sorted(wanted - REACHING_OPS.keys()):
        near = difflib.get_close_matches(name, REACHING_OPS, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else "all others are allowed anyway; leave it out"
        raise UsageError(f"--allow_ops has {name!r}, which is no operation that is refused: {hint}")
    return wanted
