"""What a model makes of a text does not depend on the other texts of its batch, or it gets one at a time."""

import pytest
import tiny
import torch
from generations import CHAT, GREEDY, MODEL
from teachergrid.engines import huggingface
from teachergrid.engines.requests import Request, Setup
from teachergrid.errors import BadInput
from teachergrid.models import batching, loading, logits
from teachergrid.scoring import logprobs

TEXTS = ["red", "sort the words apple bear story", "list of colour"]


def requests() -> list[Request]:
    return [Request(str(i), 0, [{"role": "user", "content": text}], None, GREEDY) for i, text in enumerate(TEXTS)]


def reading_its_padding(model: torch.nn.Module) -> None:
    """Let a model add the mean of all tokens of a row to each of its embeddings, that of padding too."""
    model.get_input_embeddings().register_forward_hook(lambda _, args, made: made + made.mean(1, keepdim=True))


@pytest.fixture
def folder(tmp_path_factory):
    return tiny.make(tmp_path_factory.mktemp("models") / "llama")


@pytest.mark.parametrize(("reads", "said"), [(False, ""), (True, "llama models read the padding of a batch")])
def test_generation_in_a_batch_is_that_of_each_prompt_alone(folder, monkeypatch, capsys, reads, said):
    if reads:
        load = loading.load_model

        def changed(*args, **options):
            model = load(*args, **options)
            reading_its_padding(model)
            return model

        monkeypatch.setattr(loading, "load_model", changed)
    generate = huggingface.open_model(Setup(MODEL | {"repo": str(folder)}, CHAT, batch=3))
    assert said in capsys.readouterr().out and bool(said) == reads
    together = dict(generate(requests()))
    assert list(together.values()) == [output for request in requests() for _, output in generate([request])]


def test_scores_in_a_batch_are_those_of_each_sequence_alone(folder):
    model = loading.load_model(MODEL | {"repo": str(folder)})
    reading_its_padding(model)
    sequences, positions = [[5, 6, 7, 8], [9, 10, 11, 12, 13, 14, 15]], [[1, 2, 3], [4, 5, 6]]
    alone = [logprobs.score(model, [ids], [places], 64)[0] for ids, places in zip(sequences, positions, strict=True)]
    batching.check(model, batching.hidden(model, masked=False))
    assert batching.rows(model, 64) == 1 and batching.parts(model, sequences) == [[ids] for ids in sequences]
    assert logprobs.score(model, sequences, positions, 64) == alone


def test_a_state_that_fades_as_if_padding_had_been_read_is_found():
    """MiniMax' first token is right in a batch, and later ones are not."""
    from transformers import AutoConfig, AutoModelForCausalLM

    words = tiny.tokenizer()
    sizes = {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
    }
    kinds = {"num_local_experts": 4, "num_experts_per_tok": 2, "layer_types": ["linear_attention", "full_attention"]}
    config = AutoConfig.for_model("minimax", vocab_size=len(words), intermediate_size=128, **sizes, **kinds)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3 if weight.dim() > 1 else 1)  # far from uniform
    generator = huggingface.Generator(model, words, [3])
    batching.check(model, generator.next_logits)
    assert batching.rows(model, 8) == 1


def test_rounding_is_not_taken_for_reading():
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    assert batching.difference(values.bfloat16(), values) < 0.01 < batching.READS_OTHERS
    assert batching.difference(values.roll(1), values) > 1


def test_a_model_that_gives_no_numbers_generates_nothing(folder):
    """Of NaN, greedy decoding and drawing would both take a token, and go on."""
    model = loading.load_model(MODEL | {"repo": str(folder)})
    with torch.no_grad():
        model.model.norm.weight.fill_(torch.nan)
    words = loading.load_tokenizer(MODEL | {"repo": str(folder)}, CHAT)
    generator = huggingface.Generator(model, words, [3])
    for temperature in (0, 1.0):
        sampling = GREEDY | {"temperature": temperature, "seed": 1}
        with pytest.raises(BadInput, match=r"llama: its logits became NaN while it generated; try another `dtype`"):
            generator.generate([[5, 6, 7]], [("a", 0)], sampling, 1)
    with pytest.raises(BadInput, match="all its logits are NaN"):
        logits.check(model)


def test_a_scale_of_none_is_one():
    """As MPT's config has it."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model("mpt", d_model=64, n_heads=2, n_layers=2, vocab_size=64, max_seq_len=48)
    assert config.logit_scale is None
    model = AutoModelForCausalLM.from_config(config).eval()
    logits.check(model)
    assert loading.context(model) == 48
