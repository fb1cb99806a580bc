"""What makes the imports of a job cheaper: most of a small job is imports, and a grid has thousands of jobs."""

import gc
import sys

import pyarrow as pa

# objects made between two looks of the garbage collector, which Python sets to 700: importing torch and transformers makes
# millions that stay; this takes a fifth off their time
LOOK_AFTER = 10_000
# transformers imports them wherever they are installed, for a kind of generation and for losses of object detection: a job that
# loads a model uses neither, and they take more than a second
UNUSED = ("sklearn", "scipy")


class NoPandas:
    """An importer that knows that there is no pandas."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        """Raise ModuleNotFoundError for pandas."""
        if name == "pandas":
            raise ModuleNotFoundError(name, name=name)


def spare(loads_model: bool) -> None:
    """Make later imports of this process cheaper. loads_model: such a process never needs UNUSED, and now cannot import it."""
    gc.set_threshold(LOOK_AFTER, *gc.get_threshold()[1:])
    if loads_model:
        for name in UNUSED:
            sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # None: Python's way to say that there is none


def keep_pandas_out() -> None:
    """Let pyarrow make arrays from lists without pandas, which it imports at the first one: 0.4 s and 50 MB, to see that it is no column.

    It looks once, so it looks here. Others can import pandas later.
    """
    sys.meta_path.insert(0, NoPandas)
    try:
        pa.array([None])
    finally:
        sys.meta_path.remove(NoPandas)
