"""Networks without their weights: every variable has a shape, and no memory.

Inside ``keras.StatelessScope`` Keras creates variables without values, to fill them at its end;
here they are never filled. VGG-16 takes 25 ms and no megabyte in place of 553.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
from keras.src.backend.common import global_state

_WAITING = "uninitialized_variables"
"""Where Keras keeps the variables that the next scope to end would allocate."""


@contextmanager
def unallocated() -> Iterator[None]:
    """Build in this context what is only to be looked at: names, shapes, the graph.

    A network that was built here cannot run.
    """
    before = list(global_state.get_global_attribute(_WAITING) or ())
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        global_state.set_global_attribute(_WAITING, before)
