"""The options that `run` hands on to Snakemake."""

import pytest
from teachergrid.run import options


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["-n"], ["-n", "--config", "x=1"]),
        (["--config", "a=2", "-n"], ["--config", "x=1", "a=2", "-n"]),
    ],
)
def test_a_setting_is_added_to_those_given(argv, expected):
    assert options.with_config(argv, "x=1") == expected
