"""The page of two papers' numbers: whole, and with nothing from outside."""

import xml.etree.ElementTree as ElementTree

import pytest
from teachergrid.replication import evolvers, page, study


@pytest.fixture(scope="module")
def loaded():
    return study.load()


def test_the_page_shows_every_number_and_needs_nothing_from_outside(loaded):
    sections = study.sections(loaded)
    html = page.build([page.teachers(sections, ["a sentence <b>"], loaded)])
    assert "<strong>24 of 24</strong> numbers that the\npaper prints" in html and "<strong>108 of 108</strong>" in html
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
    html = page.build([page.teachers([first._replace(rows=[(label, wrong), *rows]), *others], [], loaded)])
    assert f"<strong>{24 - len(wrong)} of 24</strong>" in html and "<strong>108 of 108</strong>" in html


def test_the_second_paper_with_its_impossible_numbers():
    tables = evolvers.load()
    html = page.build([page.evolvers(evolvers.sections(tables), ["a sentence"], tables)])
    assert "<strong>14 of 14</strong>" in html and "<strong>70 of 70</strong>" in html
    impossible = html.split("<h2>Impossible numbers</h2>")[1].split("</table>")[0]
    assert impossible.count('<tr><th scope="row">') == 28 and "70.96" in impossible and "70.73" in impossible
    # by table, by benchmark, the selections, the win rates
    assert html.count('role="img"') == 4
    assert html.count("FollowBench, Table 3") and "AutoIF" in html and "highest IC-IFD" in html
