"""What a plan says about templates that open a think block."""

import re

import pytest
import tiny
from chat_templates import CHAT, NEMOTRON, QWEN3, QWEN35, R1, channels, thinker
from teachergrid.models import chat, openings

OFF = {"enable_thinking": False}


def warnings(folder, **settings) -> list[str]:
    base = CHAT | {"model": "m"} | settings
    return openings.warnings(
        {"models": {"m": {"repo": str(folder), "revision": None}}, "bases": {"b": base, "other": base}}, {"b"}
    )


@pytest.mark.parametrize(
    ("tokenizer", "settings", "opens"),
    [
        (tiny.tokenizer(), {}, False),
        (thinker(R1), {}, True),
        (thinker(QWEN3), {}, False),
        (thinker(QWEN35), {}, False),  # it closes the block before an answer without thoughts
        (thinker(QWEN35), {"template_args": OFF}, False),
        (thinker(NEMOTRON), {}, True),
        (channels(), {}, False),
        (tiny.tokenizer(), {"template": R1}, True),
        (thinker(R1), {"template": tiny.CHATML}, False),
    ],
)
def test_a_plan_says_what_the_jobs_say(tokenizer, settings, opens, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    found = warnings(tmp_path, **settings)
    assert bool(found) == opens
    expected = [line.removeprefix(": ") for line in chat.warnings(tokenizer, CHAT | settings) if "opens" in line]
    assert [line.removeprefix("base 'b': ") for line in found] == expected
    assert all(re.search(r"`template_args: \{enable_thinking: false\}`", line) for line in found)


def test_a_template_in_the_hubs_cache_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    thinker(R1).save_pretrained(tmp_path / "models--org--name/snapshots/0123")
    assert warnings("org/name")


@pytest.mark.parametrize(
    "template", ["{% if %}", "{{ raise_exception('no') }}", "{{ messages[7].role.x }}", "{{ 1 + 'a' }}"]
)
def test_what_does_not_render_or_is_not_there_is_left_to_the_jobs(tmp_path, template):
    assert warnings(tmp_path, template=template) == warnings(tmp_path / "nowhere") == []
