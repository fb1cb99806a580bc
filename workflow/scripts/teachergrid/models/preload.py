"""Imported once, by the server of job.forks: all that a job imports that loads a model. Its forks share the memory."""

import gc
import importlib
from contextlib import suppress

from . import imports

LIBRARIES = (
    "teachergrid.models.loading",  # first: it sets what libraries read from the environment
    "pyarrow.parquet",
    "torch",
    "transformers.models.auto.modeling_auto",
    "transformers.generation.utils",
)

imports.spare(loads_model=True)
imports.keep_pandas_out()
for library in LIBRARIES:
    with suppress(Exception):  # the job meets it again, and tells it in its log
        importlib.import_module(library)
gc.collect()
gc.freeze()  # a look of the garbage collector would write into all of it
