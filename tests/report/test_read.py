"""Files that a report is made of."""

import json
from types import SimpleNamespace

from teachergrid.report import read
from teachergrid.store import artifacts


def test_what_a_report_reads(data, tmp_path):
    """The pilot of its grid, with what it lost by the table of the grid that trained all."""
    found = {"bases": {"bs": {"kept": ["steps-s"]}}}
    (tmp_path / "pilot.json").write_text(json.dumps(found))
    rows = data["performance"]
    artifacts.write(tmp_path / "performance.parquet", rows, artifacts.PERFORMANCE, None)
    given = SimpleNamespace(pilots=[tmp_path / "pilot.json"], complete=[])
    assert read.pilot(given, {"saved": {"students_kept": 1}}) == found | {"saved": {"students_kept": 1}, "regret": None}
    given.complete = [tmp_path / "performance.parquet"]
    ap = {r["teacher"]: r.get("value") for r in rows if (r["measure"], r["kind"], r["base"]) == ("AP", "student", "bs")}
    (row,) = read.pilot(given, {"saved": {}})["regret"]
    assert row["regret"] == ap["steps-l"] - ap["steps-s"] > 0 and row["best"] == "steps-l"
    assert read.pilot(SimpleNamespace(pilots=[], complete=[]), {}) is None
