"""What makes the imports of a job cheaper: most of a small job is imports, and a grid has thousands of jobs."""

import gc
import sys

# objects made between two looks of the garbage collector, which Python sets to 700: importing torch and transformers makes
# millions that stay; this takes a fifth off their time
LOOK_AFTER = 10_000
# transformers imports them wherever they are installed, for a kind of generation and for losses of object detection: a job that
# loads a model uses neither, and they take more than a second
UNUSED = ("sklearn", "scipy")


def spare(loads_model: bool) -> None:
    """Make later imports of this process cheaper. loads_model: such a process never needs UNUSED, and now cannot import it."""
    gc.set_threshold(LOOK_AFTER, *gc.get_threshold()[1:])
    if loads_model:
        for name in UNUSED:
            sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # None: Python's way to say that there is none
