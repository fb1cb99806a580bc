"""Imports of a job: which packages it does without, and only where it loads a model."""

import subprocess
import sys

import pytest

SPARED = """
import gc
from teachergrid.models import imports
imports.spare(loads_model={loads_model})
from transformers.utils.import_utils import is_scipy_available, is_sklearn_available  # what transformers asks before
print(gc.get_threshold()[0], is_sklearn_available(), is_scipy_available())
"""


@pytest.mark.parametrize(("loads_model", "said"), [(True, "10000 False False"), (False, "10000 True True")])
def test_a_job_that_loads_a_model_imports_no_scikit_learn_and_no_scipy(loads_model, said):
    script = SPARED.format(loads_model=loads_model)
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == said
