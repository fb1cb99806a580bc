"""The page of the first paper's numbers: whole, and with nothing from outside."""

import xml.etree.ElementTree as ElementTree

import pytest
from teachergrid.replication import page, study


@pytest.fixture(scope="module")
def loaded():
    return study.load()


def test_the_page_shows_every_number_and_needs_nothing_from_outside(loaded):
    sections = study.sections(loaded)
    html = page.build(sections, ["a sentence <b>"], loaded)
    assert "<strong>24 of 24</strong> numbers that the paper prints" in html and "<strong>108 of 108</strong>" in html
    assert "http" not in html.replace("http://www.w3.org", "")
    body = ElementTree.fromstring(html[html.index("<body>") : html.index("</html>")].replace("<br>", ""))
    said = " ".join(" ".join(body.itertext()).split())
    assert "a sentence <b>" in said and all(section.title in said for section in sections)
    # one plot of the steps within families, one of the averages of metrics
    drawn = [node for node in body.iter() if node.tag.rpartition("}")[2] == "svg"]
    assert len([node for node in drawn if node.get("role") == "img"]) == 2


def test_a_number_that_does_not_come_out_is_counted(loaded):
    first, *others = study.sections(loaded)
    (label, row), *rows = first.rows
    wrong = {name: comparison._replace(ours=comparison.ours + 1) for name, comparison in row.items()}
    html = page.build([first._replace(rows=[(label, wrong), *rows]), *others], [], loaded)
    assert f"<strong>{24 - len(wrong)} of 24</strong>" in html and "<strong>108 of 108</strong>" in html
