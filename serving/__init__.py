"""A server and a client for SavedModels that speak TensorFlow Serving's protocol."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.client import Client
    from serving.client_async import AsyncClient

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> Any:
    # On first use, because the server, which needs neither, imports this package too.
    if name == "Client":
        from serving.client import Client

        return Client
    if name == "AsyncClient":
        from serving.client_async import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
