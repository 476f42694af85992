"""Whether and where the page for Prometheus is, from TF Serving's `MonitoringConfig` text file.

prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }
"""

from pathlib import Path

from serving.config import METRICS_PATH
from serving.config_messages import MonitoringConfig
from serving.errors import StartError
from serving.text_proto import read_text_proto


def read_monitoring_file(path: Path) -> str | None:
    """Return the path of the page; None where there is to be none.

    Raises:
        StartError: the file cannot be read, holds no such message, or a path that is none.
    """
    prometheus = read_text_proto(path, MonitoringConfig()).prometheus_config
    if not prometheus.enable:
        return None
    page = str(prometheus.path) or METRICS_PATH
    if not page.startswith("/") or "{" in page or page.lower().startswith("/v1/"):
        raise StartError(
            f"{path}: prometheus_config has the path {page!r}: write one that begins with / and "
            "not with /v1/"
        )
    return page
