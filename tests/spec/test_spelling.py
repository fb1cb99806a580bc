"""Names that a person wrote: the nearest known one is named, or all of them."""

import pytest
from teachergrid.errors import BadInput
from teachergrid.spec import spelling


def test_the_nearest_word():
    assert spelling.nearest("instrutions", {"instructions", "teachers"}) == ", did you mean 'instructions'?"
    assert spelling.nearest("x", ["instructions"]) == spelling.nearest(3, []) == ""


def test_a_name_that_is_not_there():
    spelling.known("config.a", "small", ["small", "large"])
    with pytest.raises(BadInput, match=r"^config\.a: there is no 'smal', did you mean 'small'\?$"):
        spelling.known("config.a", "smal", ["small", "large"])
    with pytest.raises(BadInput, match=r"^config\.a: there is no 'q'; known: small, large$"):
        spelling.known("config.a", "q", ["small", "large"])
