"""What was estimated and what jobs took, in words."""

from report_data import ESTIMATES
from teachergrid.pages import estimates, text


def test_sentences_of_estimates():
    """One for the totals, one for other devices, one for what is not compared: those that have nothing to report are left out."""
    totals, devices, left_out = estimates.table(ESTIMATES)["sentences"]
    assert totals.startswith(f"2.6{text.SPACE}GPU-h instead of the expected 2{text.SPACE}GPU-h (1.3 times) and 3.0")
    assert totals.endswith(f"81{text.SPACE}% of 16 jobs within their range.")
    assert devices.startswith("2 of them ran on another type of device")
    assert left_out == "Not compared: 3 that began without an estimate, 1 that continued a job that had been killed."
    assert estimates.table({**ESTIMATES, "elsewhere": 0, "unplanned": 0, "resumed": 0})["sentences"] == [totals]
    assert len(estimates.table({**ESTIMATES, "elsewhere": 0})["sentences"]) == 2
