"""How MLflow's interface shows an experiment of tl: the best run first, and why.

MLflow keeps the state of a shared view as a tag of the experiment; a link names the tag. Without it
the table of runs has no figures at all.
"""

import json
from typing import Any

from tl.problem import LOWER_IS_BETTER

KEY = "tl"
TAG = f"mlflow.sharedViewState.{KEY}"


def view_state(headline: str) -> str:
    """Return the view as MLflow stores it.

    Args:
        headline: name of the metric that stands for all, such as ``test.top_1_accuracy``.
    """
    side = headline.partition(".")[0]
    lower = headline.rpartition(".")[2] in LOWER_IS_BETTER
    metrics = [headline, f"{headline}.low", f"{headline}.high", f"{side}.log_loss"]
    state: dict[str, Any] = {
        "searchFilter": "",
        "orderByKey": f"metrics.`{headline}`",
        "orderByAsc": lower,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [
            *(f"metrics.`{name}`" for name in dict.fromkeys(metrics)),
            "tags.`tl.against_best`",
            "tags.`tl.label.champion`",
            "tags.`tl.backbone`",
            "tags.`tl.strategy`",
        ],
        "runsPinned": [],
        "runsHidden": [],
        "runsExpanded": {},
        "compareRunCharts": [],
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
        "useGroupedValuesInCharts": True,
        "groupBy": None,
    }
    return json.dumps(state)


def view_address(server: str, experiment_id: str) -> str:
    """Return the link to an experiment's runs in that view."""
    return f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs?viewStateShareKey={KEY}"
