"""Judges' prompts: their texts, and how they are filled."""

import hashlib
import json

import pytest
from teachergrid.errors import BadInput
from teachergrid.evaluation.judge_prompts import FOLDER, OFFICIAL, check, filled, load, mark, needed, resolved, versions
from teachergrid.hub import github

# A prompt that a judge was asked with never changes: a better one is a file with the next number, with a line here.
KNOWN = {
    "alpaca_eval2.1.txt": "941394070f55bf64",
    "arena_hard.1.txt": "b3f376edb90a00e0",
    "arena_hard_creative.1.txt": "8688fb811b4817bb",
    "followbench.1.txt": "44f478ff9f4e0912",
    "pairwise.1.txt": "a14c48d5737d5e8d",
    "single.1.txt": "48dfa27fea993a3a",
}


def test_prompts_that_were_asked_do_not_change():
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in FOLDER.glob("*.txt")}
    assert found == KNOWN


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.txt")))
def test_all_prompts_are_filled(name):
    text = (FOLDER / name).read_text()
    check(name, text)
    messages = filled(text, "Ask?", ["first answer", "second answer"], ["plain ask", "Ask?"], 1)
    whole = "\n".join(message["content"] for message in messages)
    assert messages[-1]["role"] == "user" and "<|im" not in whole
    assert "{" not in whole and "Ask?" in whole and whole.count("first answer") == 1
    if "followbench" not in name and "single" not in name:
        assert whole.index("first answer") < whole.index("second answer")


def test_what_is_put_in_is_never_a_place_itself():
    text = load("pairwise")
    messages = filled(text, "Write {output_1}, {output_2} and <|im_end|>", ["{instruction} {x}", "\\1 {0}"])
    assert len(messages) == 2
    content = messages[1]["content"]
    assert "Write {output_1}, {output_2} and <|im_end|>" in content
    assert "{instruction} {x}" in content and "\\1 {0}" in content


def test_the_official_form_of_places():
    """Arena-Hard's own template has other names for the same places."""
    text = "<|im_start|>system\nJudge.<|im_end|>\n<|im_start|>user\n{QUESTION}|{ANSWER_A}|{ANSWER_B}|{other}<|im_end|>"
    check("its prompt", text)
    assert filled(text, "q", ["a", "b"]) == [
        {"role": "system", "content": "Judge."},
        {"role": "user", "content": "q|a|b|{other}"},
    ]


def test_steps_of_followbench():
    content = filled(load("followbench"), "third", ["answer", ""], ["plain", "second", "third"], 2)[0]["content"]
    for part in (
        "<step plain instruction>\nplain\n",
        "<step with 1 constraint>\nsecond\n",
        "<step with 2 constraints>\nthird\n",
    ):
        assert part in content
    assert "Number of constraints that were added: 2." in content


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Which is better? {output_1}", "no message of the user at its end"),
        ("<|im_start|>user\n{output_1}<|im_end|><|im_start|>system\nx<|im_end|>", "no message of the user at its end"),
        ("<|im_start|>user\nJudge {answer}<|im_end|>", "has no place for the answer"),
    ],
)
def test_a_text_that_is_no_prompt(text, message):
    with pytest.raises(BadInput, match=rf"my\.txt: {message}"):
        check("my.txt", text)


def test_versions():
    assert versions("pairwise")[0] == 1 and load("pairwise", 1) == (FOLDER / "pairwise.1.txt").read_text()
    with pytest.raises(BadInput, match="prompt_version 9: the prompt pairwise has the versions 1"):
        load("pairwise", 9)


def test_official_prompts_are_named_at_one_commit():
    files = {file for one in OFFICIAL.values() for file in one.files}
    assert all(len(file.commit) == 40 and len(file.sha256) == 64 for file in files)
    assert {one.licence for one in OFFICIAL.values()} == {"Apache-2.0"}


PROGRAM = """
import json
USUAL = "Judge.\\nSay [[A>B]]."
JUDGE_SETTINGS = {
    "hard_prompt": {"baseline": "x", "system_prompt": USUAL},
    "creative_writing": {"baseline": "y", "system_prompt": "Judge the text."},
}
raise SystemExit("it is read, and never run")
"""
SETTINGS = 'judge_model: x\nprompt_template: "<|User Prompt|>\\n{QUESTION}\\n{ANSWER_A}\\n{ANSWER_B}"\n'


def test_arena_hards_own_prompts_are_read_out_of_its_program():
    usual, creative = (OFFICIAL[name].read([PROGRAM, SETTINGS]) for name in ("arena_hard", "arena_hard_creative"))
    check("its prompt", usual)
    user = {"role": "user", "content": "<|User Prompt|>\nq\na\nb"}
    assert filled(usual, "q", ["a", "b"]) == [{"role": "system", "content": "Judge.\nSay [[A>B]]."}, user]
    assert filled(creative, "q", ["a", "b"]) == [{"role": "system", "content": "Judge the text."}, user]


def test_an_official_prompt_stands_in_a_spec_by_its_digest(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    text = "<|im_start|>user\n{instruction} {output_1} {output_2}<|im_end|>"
    [file] = OFFICIAL["alpaca_eval2"].files
    file = file._replace(sha256=hashlib.sha256(text.encode()).hexdigest())
    monkeypatch.setitem(OFFICIAL, "alpaca_eval2", OFFICIAL["alpaca_eval2"]._replace(files=(file,)))
    marked = mark("alpaca_eval2")
    assert marked == f"official:{file.sha256}"
    assert needed({json.dumps({"judge": {"prompts": {"alpaca_eval2": marked}}}), json.dumps({"suite": {}})}) == [file]
    with pytest.raises(
        BadInput, match=r"alpaca_eval_clf\.txt at cd543a149df8: not in the cache; run `teachergrid prefetch`"
    ):
        resolved("alpaca_eval2", marked)
    github.place(file).parent.mkdir(parents=True)
    github.place(file).write_text(text)
    assert resolved("alpaca_eval2", marked) == text and resolved("pairwise", "own text") == "own text"
