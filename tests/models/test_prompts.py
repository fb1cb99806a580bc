"""Prompt texts with placeholders for an instruction and a response."""

import pytest
from teachergrid.errors import BadInput
from teachergrid.models import prompts

ASKED = [{"role": "user", "content": "1+1?"}]


def test_placeholders_are_filled_in_one_pass():
    assert prompts.fill("Q: {instruction} A: {response}", ASKED, "2") == "Q: 1+1? A: 2"
    # text of an instruction or a response is no placeholder, and other braces stay
    asked = [{"role": "user", "content": "say {response}"}]
    assert (
        prompts.fill("{x} {instruction}|{response}", asked, r"\1 {instruction}")
        == r"{x} say {response}|\1 {instruction}"
    )


def test_several_turns_are_paragraphs_with_their_role():
    turns = [{"role": "system", "content": "brief"}, *ASKED]
    assert prompts.fill("{instruction}!", turns, "2") == "system: brief\n\nuser: 1+1?!"


def test_a_text_without_a_placeholder_is_refused():
    prompts.check("r.text", "only {response}")
    with pytest.raises(BadInput, match=r"r.text: has neither \{instruction\} nor \{response\}"):
        prompts.check("r.text", "{question}")
