"""A training that diverges ends with an error, and one whose loss grows says so."""

import math

import pytest
import torch
from teachergrid.errors import BadInput
from teachergrid.job import failures
from teachergrid.models import chat, loading
from teachergrid.training import divergence, sft
from teachergrid.training.training import Training
from trainings import CHAT, ROWS, recipe, tiny_model


@pytest.mark.parametrize(
    "logs", [{"loss": math.nan}, {"loss": math.inf}, {"loss": 1.0, "grad_norm": math.nan}, {"grad_norm": math.inf}]
)
def test_a_step_without_a_number_is_the_class_nan_loss(logs):
    with pytest.raises(
        BadInput, match=r"the training diverged: its .* is (nan|inf) at step 3; lower .* `learning_rate`"
    ) as error:
        divergence.refuse_step(logs, 3)
    assert failures.of_message(str(error.value)).kind == failures.NAN
    assert failures.of_exception(f"RuntimeError: rank 0: BadInput: {error.value}", "").kind == failures.NAN


def test_steps_with_numbers_pass():
    for logs in ({}, {"loss": 2.0, "grad_norm": 1e9}, {"train_runtime": math.nan}, {"loss": 1.0, "grad_norm": None}):
        divergence.refuse_step(logs, 1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_weights_without_a_number_are_refused(bad):
    good = ("a", torch.ones(3))
    divergence.refuse_weights([good, ("ids", torch.ones(3, dtype=torch.int64))])
    with pytest.raises(BadInput, match="its weights are not finite at the end, such as b") as error:
        divergence.refuse_weights([good, ("b", torch.tensor([1.0, bad]))])
    assert failures.of_message(str(error.value)).kind == failures.NAN


@pytest.mark.parametrize(
    ("losses", "grew"),
    [
        ([1.2, 1.0, 0.9], None),
        ([1.2] * 20, None),
        ([1.2, 1.5, 1.7], None),  # batches differ as much
        ([0.1, 0.4, 0.5], None),
        ([1.2, 80.0, 40.0, *[9.0] * 20], "from 1.20 to 9.00"),
        ([2.0, 9.0, *[1.0] * 20], None),  # it recovered
        ([], None),
    ],
)
def test_a_loss_that_grows_is_noted(losses, grew):
    note = divergence.growth(losses)
    assert (note is None) if grew is None else grew in note


@pytest.mark.parametrize(
    ("rate", "epochs"), [(1e30, 2), (1e39, 0.1)]
)  # two epochs, and a single step: no loss shows it
def test_a_training_that_diverges_fails(tmp_path, rate, epochs):
    model = tiny_model(tmp_path / "base")
    given = recipe(learning_rate=rate, num_train_epochs=epochs, per_device_train_batch_size=4)
    with pytest.raises(BadInput, match="the training diverged"):
        sft.train(Training(ROWS, CHAT, model, given, 1, tmp_path / "work"))


def test_sampling_defaults_that_are_not_valid_do_not_cost_the_student(tmp_path):
    """As Vicuna and the first Llama 2 ship them: transformers refuses to save them, after the training."""
    model = tiny_model(tmp_path / "base")
    (tmp_path / "base/generation_config.json").write_text('{"eos_token_id": [3, 1], "temperature": 0.9, "top_p": 0.6}')
    given = recipe(num_train_epochs=0.1)
    trained = sft.train(Training(ROWS, CHAT, model, given, 1, tmp_path / "work"))
    student = loading.load_model(model, folder=trained.final)
    assert student.generation_config.eos_token_id == [3, 1] and trained.facts["notes"] == []


def test_what_is_odd_about_a_template_is_noted_with_the_student(tmp_path):
    """The job's log says it; a reader of the report has no log."""
    model = tiny_model(tmp_path / "base")
    turn = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>{% endfor %}"
    opens = turn + "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
    given, settings = recipe(num_train_epochs=0.1), {**CHAT, "template": opens}
    trained = sft.train(Training(ROWS, settings, model, given, 1, tmp_path / "work"))
    expected = chat.warnings(loading.load_tokenizer(model, settings), settings)
    assert trained.facts["notes"] == expected and "<think>" in expected[0]


def test_what_cannot_be_saved_is_refused_before_the_first_step(tmp_path, monkeypatch):
    model = tiny_model(tmp_path / "base")
    words, network = loading.load_tokenizer(model, CHAT), loading.load_model(model)

    def fails(*_, **__):
        raise TypeError("Object of type dtype is not JSON serializable")

    monkeypatch.setattr(type(network.config), "save_pretrained", fails)
    with pytest.raises(BadInput, match="its config cannot be saved, so a student of it would be lost: Object of type"):
        sft.try_save(network, words)
