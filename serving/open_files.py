"""How many files and connections the process may have open."""

import logging
import resource

logger = logging.getLogger(__name__)


def raise_limit() -> int | None:
    """Let the process open as many files as it may; give how many, None where there is no bound.

    What shells set, 1,024 or 256, is a default for small programs.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    except (OSError, ValueError):  # macOS allows less than it says
        logger.info("the limit of open files stays at %d", soft)
    return None if soft == resource.RLIM_INFINITY else soft
