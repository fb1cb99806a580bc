"""Contamination and training on the page."""

import copy

from page_words import Words
from teachergrid.report import page
from teachergrid.store import artifacts


def test_training_stands_beside_what_it_reached(data):
    changed = copy.deepcopy(data)
    rows = [row for row in changed["lineage"] if row["base"] == "bs" and row["teacher"] == "steps-l"]
    for row in rows:
        row |= {"trained_tokens": 1200, "steps": 7}
    read = Words(page.build(changed)).text
    assert "1 200 in 7 steps" in read and "What the students were trained on." in read
    for row in changed["lineage"]:
        row |= {"trained_tokens": 1200}
    assert "times the smallest" in read and "times the smallest" not in Words(page.build(changed)).text


def test_contamination(data):
    row = {"instructions": "pool", "task": "gsm", "item": "x", "prompt": "a prompt <b>", "instruction": "mine"}
    found = [
        {**row, "id": "1", "how": "equal", "similarity": None, "removed": True},
        {**row, "id": "2", "how": "near", "similarity": 0.875, "removed": False},
        {**row, "id": "3", "how": "near", "similarity": 0.9, "removed": False},
    ]
    artifacts.table(found, artifacts.CONTAMINATION)
    read = Words(page.build(copy.deepcopy({**data, "contamination": found, "sizes": {"pool": 50}}))).text
    assert "pool gsm 0 0 2 4.0 % 1" in read.replace("\u202f", " ")
    assert "near 0.88" in read and "equal , removed" in read.replace("equal, removed", "equal , removed")
    assert "a prompt <b>" in read
    assert "No such instruction was found" in Words(page.build(copy.deepcopy(data))).text
