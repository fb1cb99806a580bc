"""Tiny random models of real architectures with a real tokenizer and chat template, made in a second or two each."""

import random
from functools import cache
from pathlib import Path

CHATML = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}<|im_start|>assistant\n"
    "{% generation %}{{ m['content'] }}<|im_end|>{% endgeneration %}\n"
    "{% else %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CHATML_WITH_BOS = "{{ bos_token }}" + CHATML
SPECIAL = ["<|pad|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
WORDS = [
    "the",
    "of",
    "and",
    "list",
    "sum",
    "answer",
    "explain",
    "story",
    "red",
    "apple",
    "bear",
    "colour",
    "sort",
    "words",
]


@cache
def _trained(vocabulary: int):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    rng = random.Random(0)
    texts = [
        " ".join(rng.choices(WORDS, k=12)) + rng.choice([".", "?", "\n", " 3+4=7.", " user\n"]) for _ in range(500)
    ]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.post_processor = processors.ByteLevel(trim_offsets=True)  # as Llama's: blanks lie outside of the offsets
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
        ),
    )
    return core.to_str()


def tokenizer(bos: bool = False, template: str | None = CHATML, vocabulary: int = 512):
    """Return a byte-level BPE tokenizer; with `bos`, one that puts <|endoftext|> before every text unless told not to."""
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer.from_str(_trained(vocabulary))
    if bos:
        add = processors.TemplateProcessing(single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 1)])
        core.post_processor = processors.Sequence([core.post_processor, add])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        bos_token="<|endoftext|>" if bos else None,
        model_max_length=512,
        chat_template=template,
    )


def make(
    folder, architecture: str = "llama", seed: int = 0, kind: str = "causal", positions: int = 512, **options
) -> Path:
    """Write a model folder (0.1 M parameters, float32) and return its path. options: those of `tokenizer`."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, GenerationConfig

    words = tokenizer(**options)
    sizes = {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 128,
        "vocab_size": len(words),
        "max_position_embeddings": positions,
        "tie_word_embeddings": kind == "causal",
    }
    ids = {name: getattr(words, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = AutoConfig.for_model(architecture, **sizes, **ids, **({"num_labels": 1} if kind == "reward" else {}))
    torch.manual_seed(seed)
    maker = AutoModelForCausalLM if kind == "causal" else AutoModelForSequenceClassification
    model = maker.from_config(config).float()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)  # far from uniform, so that attention and position matter
    if kind == "causal":
        # vendors ship sampling defaults; what is asked for in the config must win over them
        model.generation_config = GenerationConfig(do_sample=True, temperature=0.3, top_k=3, **ids)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return Path(folder)


def sentencepiece(kind: str, template: str | None = None):
    """Return a tokenizer that puts a blank before every text, as those of SentencePiece do.

    kind: `every part` puts it before the text behind a special token too (Llama 2, Mistral 7B v0.1), `first` before the whole
    text only (Mistral 7B v0.3).
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE(unk_token="<unk>"))
    if kind == "every part":
        core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        core.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    else:
        core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    texts = [*(f"{word} {word}" for word in WORDS), "[INST] ? [/INST]", "1 2 3 4 5 6 7 8 9 0 . , - T", *"\n+"]
    core.train_from_iterator(
        texts * 20,
        trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False),
    )
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=core, **names, chat_template=template)


def with_tags(tokenizer, *tags: str, special: bool = True):
    """Return the tokenizer with further tokens, such as <think>; special or ordinary ones."""
    from transformers import AddedToken

    tokenizer.add_tokens([AddedToken(tag, special=special) for tag in tags], special_tokens=special)
    return tokenizer


def network(tokenizer):
    """Return a tiny random Llama for the vocabulary of a tokenizer, in eval mode."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=512, **sizes)).eval()
