"""Generation with transformers: batches of rows of similar length, padded on the left.

Noise hangs on seed, id and sample of a row alone: one number per token, which falls into the cumulated probabilities of the
vocabulary (in its own order, so that no sorting of near-equal tokens counts). Who shares a batch with a row changes what it
draws only where rounding moves a boundary across that number.
"""

import hashlib
import random
from itertools import groupby

from .. import models


def generate(
    model,
    tokenizer,
    prompts: list[list[int]],
    keys: list[tuple[str, int]],
    sampling: dict,
    stops: list[int],
    batch: int,
) -> list[dict]:
    """Return text, finish_reason, prompt_tokens and response_tokens of each prompt, in the order given.

    keys: id and sample of each prompt. sampling: the config's `sampling`; what a vendor ships as generation defaults
    (a repetition penalty, say) does not count. stops: ids that end a response.
    finish_reason: stop; length (max_tokens, or the end of the model's context); prompt_too_long, with an empty text, where
    the context has no room for a single token after the prompt.
    response_tokens counts no end token. The text is decoded without special tokens and not stripped: what a model says is
    what its students learn.
    """
    rooms = [min(sampling["max_tokens"], models.context(model) - len(prompt)) for prompt in prompts]
    results = [{"text": "", "finish_reason": "prompt_too_long", "response_tokens": 0} for _ in prompts]
    fitting = [i for i, room in enumerate(rooms) if room >= 1]
    for rows in _batches(fitting, prompts, keys, rooms, batch):
        said = _continue(
            model, tokenizer, [prompts[i] for i in rows], [keys[i] for i in rows], sampling, stops, rooms[rows[0]]
        )
        for i, ids in zip(rows, said, strict=True):
            results[i] = _result(tokenizer, ids, stops, rooms[i])
    return [{**result, "prompt_tokens": len(prompt)} for result, prompt in zip(results, prompts, strict=True)]


def _batches(rows: list[int], prompts, keys, rooms, size: int):
    """Yield rows in batches, longest prompt first. Rows of a batch have the same room, so that none is cut for another."""
    order = sorted(rows, key=lambda i: (rooms[i], -len(prompts[i]), keys[i]))
    for _, group in groupby(order, key=lambda i: rooms[i]):
        group = list(group)
        yield from (group[first : first + size] for first in range(0, len(group), size))


def _continue(model, tokenizer, prompts, keys, sampling: dict, stops: list[int], room: int) -> list[list[int]]:
    """Return the ids that follow each prompt of a batch, at most `room`."""
    import torch
    from transformers import GenerationConfig, LogitsProcessorList

    width = max(map(len, prompts))
    pad = tokenizer.pad_token_id
    inputs = {
        "input_ids": [[pad] * (width - len(prompt)) + prompt for prompt in prompts],
        "attention_mask": [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts],
    }
    inputs = {name: torch.tensor(rows, device=model.device) for name, rows in inputs.items()}
    config = GenerationConfig(max_new_tokens=room, do_sample=False, eos_token_id=stops, pad_token_id=pad)
    draw = [_draw(width, keys, sampling, room)] if sampling["temperature"] > 0 else []
    # generate() fills what `config` leaves open from the model's own defaults
    vendor, model.generation_config = model.generation_config, GenerationConfig()
    try:
        ids = model.generate(**inputs, generation_config=config, logits_processor=LogitsProcessorList(draw))
    finally:
        model.generation_config = vendor
    return ids[:, width:].tolist()


def _draw(width: int, keys: list[tuple[str, int]], sampling: dict, room: int):
    """Return a logits processor that leaves each row one token: the one its random number falls on."""
    import torch
    from transformers import LogitsProcessor

    generators = [
        random.Random(hashlib.sha256(f"{sampling['seed']}/{key}/{sample}".encode()).digest()) for key, sample in keys
    ]
    numbers = torch.tensor([[generator.random() for _ in range(room)] for generator in generators], dtype=torch.float64)

    class Draw(LogitsProcessor):
        def __call__(self, input_ids, scores):
            chances = filtered(scores, sampling).double().softmax(-1).cumsum(-1)
            number = numbers[:, input_ids.shape[1] - width, None].to(scores.device)
            token = (chances <= number * chances[:, -1:]).sum(-1, keepdim=True)
            return torch.full_like(scores, -torch.inf).scatter(-1, token, 0.0)

    return Draw()


def filtered(scores, sampling: dict):
    """Return logits (rows x vocabulary) over the temperature, -inf where top_k and then top_p leave a token out.

    Tokens as likely as the last one that is kept are kept too, so that no order among equals counts.
    """
    import torch

    scores = scores.float() / sampling["temperature"]
    if 0 < sampling["top_k"] < scores.shape[-1]:
        least = scores.topk(sampling["top_k"]).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if sampling["top_p"] < 1:
        chances = scores.softmax(-1)
        falling = chances.sort(descending=True).values
        kept = falling.cumsum(-1) - falling < sampling["top_p"]
        least = falling.masked_fill(~kept, torch.inf).amin(-1, keepdim=True)
        scores = scores.masked_fill(chances < least, -torch.inf)
    return scores


def _result(tokenizer, ids: list[int], stops: list[int], room: int) -> dict:
    """Return text, reason and count of what followed a prompt, up to its first stop token."""
    length = next((position for position, token in enumerate(ids) if token in stops), room)
    text = tokenizer.decode(ids[:length], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return {"text": text, "finish_reason": "stop" if length < room else "length", "response_tokens": length}
