"""One text for one spec: defaults stay out of it, and renamed keys keep their word in it."""

from teachergrid.spec import canonical


def test_canonical_spec():
    one = canonical.dump(recipe={"learning_rate": 1.0, "weight_decay": 0, "packing": True})
    assert one == canonical.dump(recipe={"weight_decay": 0, "learning_rate": 1}) == '{"recipe": {"learning_rate": 1}}'
    assert canonical.load(one)["recipe"]["num_train_epochs"] == 2
    assert canonical.dump(recipe={"learning_rate": 1}) != canonical.dump(recipe={"learning_rate": 2})


def test_a_renamed_key_keeps_its_word_in_specs():
    task = {"fields": {}, "sampling": {"max_tokens": 5}}
    text = canonical.dump(tasks={"gsm": task})
    assert text == '{"tasks": {"gsm": {"decoding": {"max_tokens": 5}}}}'
    loaded = canonical.load(text)["tasks"]["gsm"]
    assert loaded["sampling"]["max_tokens"] == 5 and "decoding" not in loaded
