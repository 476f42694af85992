"""The gRPC health service (grpc.health.v1): what a load balancer or a probe asks before it sends.

TF Serving opens its port when its models answer, and says SERVING from then on. This server is
there earlier, so it says NOT_SERVING until every model answers, and again while it ends.
"""

from typing import Any

from grpc_health.v1 import health, health_pb2, health_pb2_grpc

# The names that TF Serving answers to; the empty one is the server as a whole.
SERVICES = ("", "ModelService", "PredictionService")


class Health:
    """Answers for every service alike."""

    def __init__(self) -> None:
        self._servicer = health.HealthServicer()
        self._is_serving: bool | None = None
        self.update(is_serving=False)

    def add_to(self, server: Any) -> None:
        """Answer on a gRPC server."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    def update(self, *, is_serving: bool) -> None:
        """Say so from now on; whoever watches is told where it changes."""
        if is_serving == self._is_serving:
            return
        self._is_serving = is_serving
        status = health_pb2.HealthCheckResponse.ServingStatus
        for service in SERVICES:
            self._servicer.set(service, status.SERVING if is_serving else status.NOT_SERVING)
