"""Our noise inside vLLM: a logits processor that leaves each response the one token that its random number selects.

It runs in the processes that hold the model, and is the only module here that imports vLLM when it is imported.
"""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch
from vllm.v1.sample.logits_processor import LogitsProcessor, MoveDirectionality

from ..models import noise

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig
    from vllm.v1.sample.logits_processor import BatchUpdate

    from .requests import Sampling

VALUES = 2**25  # logits of which tokens are drawn at once, 30 bytes each
_seen: "list[Draw]" = []  # those of this process


class Row:
    """A response at work. written: its tokens so far, which vLLM adds to."""

    def __init__(self, draw: dict[str, Any], written: list[int]) -> None:
        self.sampling: Sampling = draw["sampling"]
        self.written = written
        self._numbers = noise.Numbers(self.sampling["seed"], (draw["id"], draw["sample"]))

    def number(self) -> float:
        """Return the random number of the next token."""
        return self._numbers[len(self.written)]


class Draw(LogitsProcessor):
    """Selects tokens, and remembers whether a logit was NaN."""

    def __init__(self, vllm_config: "VllmConfig", device: torch.device, is_pin_memory: bool) -> None:
        self._rows: dict[int, Row] = {}  # by their place in the batch; greedy ones are not in it
        self._groups: list[tuple[Sampling, list[Row], torch.Tensor]] | None = None
        self._device, self._pinned = device, is_pin_memory
        self._few = max(1, VALUES // vllm_config.model_config.get_vocab_size())
        self.nan: torch.Tensor | None = None
        _seen.append(self)

    def is_argmax_invariant(self) -> bool:
        """Whether it never changes the most likely token."""
        return False

    def update_state(self, batch_update: "BatchUpdate | None") -> None:
        """Follow the rows to their places, in the order that vLLM prescribes."""
        if batch_update is None:
            return
        self._groups = None
        for place in batch_update.removed:
            self._rows.pop(place, None)
        for place, params, _, written in batch_update.added:
            self._rows.pop(place, None)
            if params.extra_args:
                self._rows[place] = Row(params.extra_args, written)
        for first, second, direction in batch_update.moved:
            row, other = self._rows.pop(first, None), self._rows.pop(second, None)
            if row is not None:
                self._rows[second] = row
            if direction == MoveDirectionality.SWAP and other is not None:
                self._rows[first] = other

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the logits, -inf for all tokens of a row but the one that is drawn. logits: [rows, vocabulary], changed in place."""
        # stays on the device: to read it would make every token wait
        nan = logits.isnan().any()
        self.nan = nan if self.nan is None else self.nan | nan
        for sampling, rows, places in self._grouped(len(logits)):
            numbers = torch.tensor([row.number() for row in rows], dtype=torch.float64, pin_memory=self._pinned)
            numbers = numbers.to(self._device, non_blocking=True)[:, None]
            whole = len(rows) == len(logits)
            # a few at a time, since the memory that this takes is not in vLLM's account
            for some, number in zip(places.split(self._few), numbers.split(self._few), strict=True):
                token = noise.chosen(logits if whole and len(some) == len(rows) else logits[some], number, sampling)
                logits[some] = -torch.inf
                logits[some, token[:, 0]] = 0.0
        return logits

    def _grouped(self, size: int) -> "list[tuple[Sampling, list[Row], torch.Tensor]]":
        """Return (sampling, rows, their places) of the rows that share a sampling. size: of the batch."""
        if self._groups is None:
            groups: dict[str, list[int]] = defaultdict(list)
            for place in sorted(self._rows):
                if place < size:
                    groups[repr(self._rows[place].sampling)].append(place)
            self._groups = [
                (
                    self._rows[places[0]].sampling,
                    [self._rows[i] for i in places],
                    torch.tensor(places, device=self._device),
                )
                for places in groups.values()
            ]
        return self._groups

    @classmethod
    def validate_params(cls, sampling_params: "SamplingParams") -> None:
        """Refuse no parameters: they are ours."""


def saw_nan(_worker: object) -> bool:
    """Return whether a logit was NaN in this process since it was asked last. vLLM calls it in all that hold the model."""
    found = any(bool(draw.nan) for draw in _seen if draw.nan is not None)
    for draw in _seen:
        draw.nan = None
    return found
