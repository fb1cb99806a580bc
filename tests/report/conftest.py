"""The made-up grid with its page, and one that trains nothing: made once for all tests of the report."""

import pytest
import report_data
from teachergrid.report import page


@pytest.fixture(scope="session")
def data():
    made = report_data.grid()
    report_data.assert_schemas(made)
    return made


@pytest.fixture(scope="session")
def html(data):
    return page.build(data)


@pytest.fixture(scope="session")
def measured():
    made = report_data.grid(seeds=())
    report_data.assert_schemas(made)
    return made
