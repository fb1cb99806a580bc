"""The spec of a cell: equal settings give equal texts, and reading it gives all settings back."""

from teachergrid.spec import canonical


def test_a_spec_holds_what_decides_a_result_and_differs_from_the_defaults():
    plain = canonical.dump(model={"repo": "org/a"}, teacher={"sampling": {"temperature": 1.0, "max_tokens": 5}})
    assert plain == '{"model": {"repo": "org/a"}, "teacher": {"sampling": {"max_tokens": 5, "temperature": 1}}}'
    loaded = canonical.load(plain)
    assert loaded["model"]["dtype"] == "bfloat16" and loaded["teacher"]["sampling"]["max_tokens"] == 5
    # written out or left out, and whatever only costs
    assert canonical.dump(**loaded) == plain
    assert canonical.dump(model={"repo": "org/a", "gpus": 8, "parameters": 7.0}) == '{"model": {"repo": "org/a"}}'


def test_a_renamed_key_keeps_its_word_in_the_spec():
    text = canonical.dump(tasks={"sum": {"sampling": {"max_tokens": 5}}})
    assert text == '{"tasks": {"sum": {"decoding": {"max_tokens": 5}}}}'
    assert canonical.load(text)["tasks"]["sum"]["sampling"]["max_tokens"] == 5


def test_what_is_loaded_belongs_to_the_caller():
    text = canonical.dump(teacher={})
    canonical.load(text)["teacher"]["sampling"]["max_tokens"] = -1
    assert canonical.load(text)["teacher"]["sampling"]["max_tokens"] > 0


def test_keys_of_an_entry():
    entry = {"a": 1, "b": 2, "c": 3}
    assert canonical.picked(entry, "c", "a") == {"c": 3, "a": 1} and canonical.without(entry, "a", "x") == {
        "b": 2,
        "c": 3,
    }
