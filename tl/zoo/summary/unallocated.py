"""Networks without their weights: every variable has a shape, and no memory.

Inside ``keras.StatelessScope`` Keras creates variables without values, to fill them at its end;
here they are never filled. VGG-16 takes 0.2 s and 5 MB in place of 528.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import keras
from keras.src.backend.common import global_state

_WAITING = "uninitialized_variables"
"""Where Keras keeps the variables that the next scope to end would allocate."""
_NAMES = "object_name_uids"
"""Where Keras counts the names that it has given, as in ``add_3``."""


@contextmanager
def unallocated() -> Iterator[None]:
    """Build in this context what is only to be looked at: names, shapes, the graph.

    A network that was built here cannot run. Its names are those of the first network of a
    process, and later networks are named as if it had never been.
    """
    waiting = list(global_state.get_global_attribute(_WAITING) or ())
    names = global_state.get_global_attribute(_NAMES)
    global_state.set_global_attribute(_NAMES, defaultdict(int))
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        global_state.set_global_attribute(_WAITING, waiting)
        global_state.set_global_attribute(_NAMES, defaultdict(int) if names is None else names)
