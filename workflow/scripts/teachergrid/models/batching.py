"""Whether a model reads the other texts of its batch: measured once after it is loaded, before it works on rows.

Most architectures skip padding, by a mask or because later tokens are never read. Some read it (linear attention and
recurrent layers before which padding was put, for example), and give other results in a batch than one at a time. Two short
texts of unequal length are run together and alone, on the real weights: a small copy would not always have every kind of layer.
The cost is that of a few short prompts, next to nothing beside loading the weights.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# part of the size of the values that may differ: bfloat16 rounds to 0.01 or 0.02, a text that is read makes 0.3 and more, and a
# state that fades as if padding had been read 0.05 and more. float32 shows these too; with TF32 it rounds to 0.001
READS_OTHERS = 0.1
READS_OTHERS_FLOAT32 = 0.01
LENGTHS = (7, 19)  # tokens of the two texts
Run = Callable[[list[list[int]]], "list[torch.Tensor]"]  # texts of a batch -> what the model makes of each, [n, values]
_ALONE: "WeakSet[PreTrainedModel]" = WeakSet()  # models that get one text at a time


def difference(found: "torch.Tensor", expected: "torch.Tensor") -> float:
    """Return the root mean square of found - expected, as part of that of `expected` around its mean."""
    found, expected = found.double().cpu(), expected.double().cpu()
    return float((found - expected).square().mean().sqrt() / expected.std(correction=0).clamp(min=1e-12))


def check(model: "PreTrainedModel", run: Run) -> None:
    """Run two texts together and alone. From then on a model that reads the other text gets one at a time."""
    import torch

    texts = _texts(model)
    together, alone = run(texts), [run([text])[0] for text in texts]
    limit = READS_OTHERS_FLOAT32 if model.dtype == torch.float32 else READS_OTHERS
    values = [pair for one, other in zip(together, alone, strict=True) for pair in zip(one, other, strict=True)]
    # NaN is not larger; it is reported where it is met
    if any(difference(*pair) > limit for pair in values):
        _ALONE.add(model)
        kind = model.config.model_type
        print(f"{kind} models read the padding of a batch, so this one gets one text at a time", flush=True)


def rows(model: "PreTrainedModel", size: int) -> int:
    """Return how many texts of a batch of `size` the model gets at a time: all, or 1 where `check` said so."""
    return 1 if model in _ALONE else size


def parts(model: "PreTrainedModel", batch: list[list[int]]) -> list[list[list[int]]]:
    """Return the batches that the model gets for a batch of texts: this one, or one of each text where `check` said so."""
    return [[text] for text in batch] if model in _ALONE else [batch]


def hidden(model: "PreTrainedModel", masked: bool, padding: int = 0) -> Run:
    """Return what runs texts padded on the right, and gives the hidden state of each text's last token.

    masked: whether the model is told which tokens are padding; scoring by a causal model tells it nothing.
    """
    import torch

    def run(texts: list[list[int]]) -> "list[torch.Tensor]":
        tokens, mask = padded(texts, padding, model.device)
        inputs = {"attention_mask": mask} if masked else {"use_cache": False}
        with torch.inference_mode():
            states = model.base_model(input_ids=tokens, **inputs).last_hidden_state
        return [states[i, [len(text) - 1]] for i, text in enumerate(texts)]

    return run


def padded(batch: list[list[int]], padding: int, device: "torch.device | str") -> "tuple[torch.Tensor, torch.Tensor]":
    """Return (token ids, mask), both [texts, longest]; the mask is 1 on a text's own tokens.

    Padding is on the right, where causal attention never looks.
    """
    import torch

    width = max(map(len, batch))
    tokens = torch.tensor([ids + [padding] * (width - len(ids)) for ids in batch], device=device)
    mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids in batch], device=device)
    return tokens, mask


def token(place: int, size: int) -> int:
    """Return some token of a vocabulary of this size, another one at each place."""
    return 7919 * (place + 1) % size


def _texts(model: "PreTrainedModel") -> list[list[int]]:
    """Return two texts of different tokens, from all over the vocabulary."""
    size = model.get_input_embeddings().weight.shape[0]
    return [[token(place + 13 * length, size) for place in range(length)] for length in LENGTHS]
