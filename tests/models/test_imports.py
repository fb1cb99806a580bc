"""Imports of a job: which packages it does without, and only where it loads a model."""

import subprocess
import sys

import pytest
from workspace import ENV, ROOT

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


WITHOUT_PANDAS = """
import sys
from teachergrid.models import imports
imports.keep_pandas_out()
import pyarrow as pa
rows = pa.table({"a": [1, 2], "b": pa.array(["x", float("nan")], from_pandas=True)}).to_pylist()
print("pandas" in sys.modules, rows)
import pandas
print(pa.array([1, 2]).to_pandas().sum(), pa.Table.from_pandas(pandas.DataFrame({"a": [3]})).to_pylist())
"""


def test_tables_of_lists_import_no_pandas_and_others_can():
    said = subprocess.check_output([sys.executable, "-c", WITHOUT_PANDAS], text=True, cwd=ROOT, env=ENV).splitlines()
    assert said == ["False [{'a': 1, 'b': 'x'}, {'a': 2, 'b': None}]", "3 [{'a': 3}]"]
