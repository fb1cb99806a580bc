"""What of an answer is style."""

import pytest
from teachergrid.evaluation.style import style_of


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("", (0, 0, 0, 0)),
        ("# One\n## Two\ntext # three\n#four\n####### seven", (13, 2, 0, 0)),
        ("1. one\n  2. two\n- three\n* four\n+ five\n-six\n3) seven", (19, 0, 5, 0)),
        ("**bold** and __bold__, **not\nbold**, *not*", (24, 0, 0, 2)),
        # code does not count as style, but as length
        ("```\n# a comment\n- x\n```\n# Header", (13, 1, 0, 0)),
        ("don't stop", (4, 0, 0, 0)),
    ],
)
def test_style_of(text, style):
    found = style_of(text)
    assert found[1:] == style[1:]
    assert found.length == pytest.approx(style[0], abs=6)
    assert style_of("one two, three.").length == 5
