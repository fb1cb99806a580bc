"""Steps within families and kinship, in words and plots."""

from page_words import Words


def test_siblings_and_kinship(html):
    read = Words(html).text
    assert "bm: the bigger sibling is the better teacher in 0 of 1 step (exact p 1.000)." in read
    assert "Teachers that descend from a base: " in read and "Steps within families, students of bs" in html
