"""The tokenizer: byte-level BPE of 512 tokens, single digits, and a ChatML template.

The template marks a response and its end token as `{% generation %}`, so that trainers which ask the template for the
loss mask get exactly the tokens that a model has to generate.
"""

import json
import random
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from world import fact, sample

VOCABULARY = 512
DOCUMENTS = 8000
END = "<|im_end|>"
SPECIAL = ("<|pad|>", "<|endoftext|>", "<|im_start|>", END)  # ids 0 to 3
PAD_ID, END_OF_TEXT_ID, END_ID = 0, 1, 3
CHAT_TEMPLATE = (
    "{% for m in messages %}{% if m['role']=='assistant' %}{{ '<|im_start|>assistant\n' }}"
    "{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def _documents(seed):
    rng = random.Random(seed)
    yield from ["user\n", "assistant\n"] * 500
    for k in range(DOCUMENTS):
        item = sample(rng)
        question = f"Question: {item.instruction}\nAnswer: {item.answer}"
        yield fact(rng)[1] if k % 10 == 0 else question
        yield f"Problem: {item.instruction}\nSolution:\n{item.steps} Answer: {item.answer}"


def build_tokenizer(seed=0) -> PreTrainedTokenizerFast:
    """Train the tokenizer on documents of the training split; the same bytes for the same seed."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_documents(seed), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=SPECIAL[PAD_ID],
        eos_token=END,
        padding_side="left",
        model_max_length=512,
        chat_template=CHAT_TEMPLATE,
    )


def save_tokenizer(tokenizer, folder: Path) -> None:
    """Write the tokenizer files; without indentation, since every model carries a copy."""
    tokenizer.save_pretrained(folder)
    path = Path(folder) / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()), ensure_ascii=False, separators=(",", ":")))


def chat(tokenizer, instruction: str) -> str:
    """Return the chat template up to where the response begins."""
    messages = [{"role": "user", "content": instruction}]
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def encode(tokenizer, items, responses) -> list[tuple[list[int], list[int]]]:
    """Return (prompt ids, response ids) per item: the chat template, then the response with its end token."""
    prompts = tokenizer([chat(tokenizer, item.instruction) for item in items], add_special_tokens=False)
    answers = tokenizer([response + END for response in responses], add_special_tokens=False)
    return list(zip(prompts["input_ids"], answers["input_ids"], strict=True))
