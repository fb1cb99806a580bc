"""Whether answers follow the instructions of their prompts. Each verdict here was made by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from teachergrid.errors import BadInput
from teachergrid.evaluation.measures import ratio
from teachergrid.tasks.checkers import check
from teachergrid.tasks.verify import Asked

DATA = Path(__file__).parents[3] / "shared/data"
IFEVAL = DATA / "ifeval/input_data.jsonl"


def item(*rules, key=1, prompt="Write."):
    """rules: (name, arguments)."""
    return json.dumps(
        {
            "key": key,
            "prompt": prompt,
            "instruction_id_list": [name for name, _ in rules],
            "kwargs": [kwargs for _, kwargs in rules],
        }
    )


COMMA = ("punctuation:no_comma", {})
LOWER = ("change_case:english_lowercase", {})
CAPITAL = ("change_case:english_capital", {})
WORDS = ("length_constraints:number_words", {"relation": "at least", "num_words": 5})
FEW = ("length_constraints:number_words", {"relation": "less than", "num_words": 5})
JSON = ("detectable_format:json_format", {})
TITLE = ("detectable_format:title", {})
QUOTED = ("startend:quotation", {})
END = ("startend:end_checker", {"end_phrase": "Yours, Ann"})
BULLETS = ("detectable_format:number_bullet_lists", {"num_bullets": 2})
HOLDERS = ("detectable_content:number_placeholders", {"num_placeholders": 2})
KEYWORDS = ("keywords:existence", {"keywords": ["sun", "moon"]})
FORBIDDEN = ("keywords:forbidden_words", {"forbidden_words": ["sun"]})
POSTSCRIPT = ("detectable_content:postscript", {"postscript_marker": "P.S."})
TWO = ("combination:two_responses", {})
REPEAT = ("combination:repeat_prompt", {"prompt_to_repeat": "Say hello."})
CHOICE = ("detectable_format:constrained_response", {})
LETTERS = ("keywords:letter_frequency", {"letter": "z", "let_frequency": 2, "let_relation": "at least"})
# (instructions, answer, followed strictly, followed loosely)
ODD = [
    ([COMMA], "no comma here", 1, 1),
    ([COMMA], "one, two", 0, 0),
    # without its first line it does
    ([COMMA], "Sure, here it is:\nno comma here", 0, 1),
    ([COMMA, WORDS], "one two three four five", 2, 2),
    ([COMMA, WORDS], "one, two three four five", 1, 1),
    ([COMMA, FEW], "", 0, 0),
    ([COMMA, FEW], "   \n ", 0, 0),
    ([FEW], "<think>\nA long thought of many words, with commas.\n</think>\nDone", 1, 1),
    ([FEW], "<think>\nIt never ends", 0, 0),
    ([JSON], '```json\n{"a": 1}\n```', 1, 1),
    ([JSON], "{'a': 1}", 0, 0),
    ([JSON], 'Here it is:\n{"a": 1}', 0, 1),
    ([TITLE], "<<A day>>\nIt rained.", 1, 1),
    ([TITLE], "< <A day> >", 0, 0),
    ([QUOTED], '"It rained."', 1, 1),
    ([QUOTED], '"It rained.', 0, 0),
    ([END], "It rained. Yours, Ann", 1, 1),
    ([END], "It rained. Yours, Ann\n\nIs there more that I can do?", 0, 1),
    ([BULLETS], "* one\n* two", 1, 1),
    ([BULLETS], "* one\n* two\n* three", 0, 1),
    ([HOLDERS], "Dear [name], come to [place].", 1, 1),
    ([KEYWORDS], "The sun and a Moon.", 1, 1),
    ([KEYWORDS], "The sun.", 0, 0),
    ([FORBIDDEN], "It is sunny.", 1, 1),
    ([FORBIDDEN], "The Sun.", 0, 0),
    ([POSTSCRIPT], "It rained.\nP.S. Bring a coat.", 1, 1),
    ([TWO], "One.\n******\nTwo.", 1, 1),
    ([TWO], "One.\n******\nOne.", 0, 0),
    ([REPEAT], "Say hello. Hello!", 1, 1),
    ([REPEAT], "Hello! Say hello.", 0, 0),
    ([CHOICE], "My answer is yes.", 1, 1),
    ([LETTERS], "buzz", 1, 1),
    ([LOWER], "it rained all day and the streets were wet.", 1, 1),
    ([CAPITAL], "IT RAINED ALL DAY and the streets were wet.", 0, 0),
    # an empty last line is the last line, as in the official checker
    ([COMMA], "no comma here\nIs there more, Ann?", 0, 1),
    ([COMMA], "no comma here\nIs there more, Ann?\n", 0, 0),
    ([FEW], "\n<think>\nA long thought of many words, with commas.\n</think>\n\nDone\n", 1, 1),
]


@pytest.mark.slow
def test_odd_answers_by_hand():
    asked = [Asked(str(i), text, item(*rules, key=i)) for i, (rules, text, _, _) in enumerate(ODD)]
    found = check(asked, {"kind": "ifeval"})
    got = [(one.measures["instruction_strict"][0], one.measures["instruction_loose"][0]) for one in found]
    assert [(text, *pair) for (_, text, _, _), pair in zip(ODD, got, strict=True)] == [
        (text, strict, loose) for _, text, strict, loose in ODD
    ]
    assert [one.score for one in found] == [float(strict == len(rules)) for rules, _, strict, _ in ODD]
    assert found[4].measures == {
        "prompt_strict": (0, 1),
        "instruction_strict": (1, 2),
        "prompt_loose": (0, 1),
        "instruction_loose": (1, 2),
    }
    assert found[4].verdict == "1 of 2 followed, 1 loosely"


RANGE = ("count:word_count_range", {"min_words": 2, "max_words": 3})
NUMBERS = ("count:numbers", {"N": 2.0})  # as a table with nulls keeps it
NAMES = ("count:person_names", {"N": 2})
AND = ("count:conjunctions", {"small_n": 2})
COVER = ("count:punctuation", {})
ALPHABET = ("words:alphabet", {})
VOWELS = ("words:vowel", {})
NESTED = ("format:parentheses", {})
PRIME = ("words:prime_lengths", {})
YES = ("format:options", {"options": "yes/no/maybe"})
LINES = ("format:newline", {})
JAPANESE = ("count:words_japanese", {"N": 2})
REPEATS = ("words:repeats", {"small_n": 1})
INDENT = ("format:line_indent", {})
QUOTES = ("format:quote_unquote", {})
SEVENS = ("custom:multiples", {})
WHITE = ("format:no_whitespace", {})
# (instructions, answer, followed strictly, followed loosely)
ODD_IFBENCH = [
    ([RANGE], "two words", 1, 1),
    ([RANGE], "one", 0, 0),
    ([RANGE], "One line of five words\ntwo words", 0, 1),
    ([NUMBERS], "3 and 1,000", 1, 1),
    ([NUMBERS], "3 and 4 and 5", 0, 0),
    ([NAMES], "Emma met Liam.", 1, 1),
    ([NAMES], "Emma met Emma.", 0, 0),
    ([AND], "red and blue or green", 1, 1),
    ([AND], "red and blue and green", 0, 0),
    ([COVER], "Oh, no: what?! Stop; go! Is it. So?", 1, 1),
    ([ALPHABET], "Ann bakes cake daily", 1, 1),
    ([ALPHABET], "Ann cakes", 0, 0),
    # a word that begins with no letter: the rule fails, and the answer does not follow it
    ([ALPHABET, VOWELS], "9 a", 1, 1),
    ([VOWELS], "an old cat", 1, 1),
    ([VOWELS], "an old cat hid under", 0, 0),
    ([NESTED], "([{([x])}])", 1, 1),
    ([NESTED], "((x))", 0, 0),
    ([PRIME], "The moons go", 1, 1),
    ([PRIME], "four", 0, 0),
    ([LINES], "one\ntwo", 1, 1),
    ([JAPANESE], "one \u4e00 two \u4e8c", 1, 1),
    ([REPEATS], "the cat and the dog", 0, 0),
    ([INDENT], "a\n b\n  c", 1, 1),
    # nothing but digits: the rule looks for the last of no letters
    ([QUOTES], "12", 0, 0),
    ([SEVENS], "14, 21, 28, 35, 42, 49", 1, 1),
    ([WHITE], "none", 1, 1),
    ([WHITE, RANGE], "", 0, 0),
]


def test_odd_answers_of_ifbench_by_hand(monkeypatch):
    monkeypatch.setenv("NLTK_DATA", str(DATA / "nltk_data"))
    asked = [Asked(str(i), text, item(*rules, key=i)) for i, (rules, text, _, _) in enumerate(ODD_IFBENCH)]
    found = check(asked, {"kind": "ifbench"})
    got = [(one.measures["instruction_strict"][0], one.measures["instruction_loose"][0]) for one in found]
    assert [(text, *pair) for (_, text, _, _), pair in zip(ODD_IFBENCH, got, strict=True)] == [
        (text, strict, loose) for _, text, strict, loose in ODD_IFBENCH
    ]


@pytest.mark.slow
def test_the_config_chooses_the_score():
    asked = [Asked("a", "Sure, here:\none two three four", item(COMMA, WORDS))]
    scores = [
        check(asked, {"kind": "ifeval", "score": name})[0].score
        for name in (None, "prompt_loose", "instruction_strict", "instruction_loose")
    ]
    assert scores == [0, 1, 0.5, 1]


@pytest.mark.slow
def test_a_rule_of_the_other_benchmark_is_named():
    with pytest.raises(
        BadInput, match="item 7: there is no rule for the instruction 'count:word_count_range' in ifeval"
    ):
        check([Asked("a", "x", item(("count:word_count_range", {}), key=7))], {"kind": "ifeval"})
    with pytest.raises(BadInput, match=r"no JSON of columns.*fields: {answer: {columns"):
        check([Asked("a", "x", "5")], {"kind": "ifeval"})
    with pytest.raises(BadInput, match="lacks 'kwargs'"):
        check([Asked("a", "x", json.dumps({"key": 1, "prompt": "p", "instruction_id_list": []}))], {"kind": "ifeval"})


@pytest.mark.slow
@pytest.mark.skipif(not IFEVAL.exists(), reason="no IFEval next to the checkout")
def test_three_runs_on_all_prompts_are_equal(monkeypatch):
    """Some rules draw at random: which letter to count in items 1122 and 1129, and the detection of languages."""
    monkeypatch.setenv("NLTK_DATA", str(DATA / "nltk_data"))
    rows = [json.loads(line) for line in IFEVAL.open()]
    assert (len(rows), sum(len(row["kwargs"]) for row in rows)) == (541, 834)
    answers = [
        f"{row['prompt']}\n\nAn answer. *So* it is [here].\nUne réponse courte, ça va.\nP.S. z #!" for row in rows
    ]
    asked = [Asked(str(row["key"]), text, json.dumps(row)) for row, text in zip(rows, answers, strict=True)]
    first = check(asked, {"kind": "ifeval"})
    assert all(one.reason is None for one in first) and 0 < sum(one.score for one in first) < 541
    assert first == check(asked, {"kind": "ifeval"})
    # another order, and fewer items before
    backwards = check(asked[::-3], {"kind": "ifeval"})
    assert backwards == first[::-3]
    # the mean of the values is the official figure
    parts = [one.measures["instruction_loose"] for one in first]
    assert sum(ratio(parts)) / 541 == pytest.approx(sum(met for met, _ in parts) / 834)


def test_data_that_nltk_lacks_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("NLTK_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    sentences = ("length_constraints:number_sentences", {"relation": "at least", "num_sentences": 1})
    with pytest.raises(BadInput, match="NLTK lacks data"):
        check([Asked("a", "One. Two.", item(sentences))], {"kind": "ifeval"})


def test_the_package_is_imported_where_it_is_used_only():
    code = "import sys; from teachergrid.tasks import checkers, following; print([m for m in sys.modules if 'verifiable' in m or m == 'nltk'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout.strip() == "[]"
