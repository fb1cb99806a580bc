"""One copy of a model in vLLM: requests as tokens go in, tokens come out as they are done."""

import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import BadInput
from ..models import caches

if TYPE_CHECKING:
    from vllm import RequestOutput, SamplingParams

AHEAD = 1024  # requests that a copy has beside those it works on, at most
TOGETHER = 64  # responses of which the logits are checked at once
# what must be in the environment before vLLM is imported: no reports to its makers, and on a CPU no cores of its own and a small
# cache
ENVIRONMENT = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
ON_CPU = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": "1"}


class Asked(NamedTuple):
    """A request as tokens.

    limit: new tokens at most. draw: see vllm.draw_of; None for greedy decoding. top: of so many likeliest first tokens the
    log-probabilities are asked for.
    """

    number: int
    prompt: "array[int]"
    limit: int
    draw: dict[str, Any] | None
    top: int = 0


class Done(NamedTuple):
    """A response as tokens, with the one that ends it. first: its likeliest first tokens, where they were asked for."""

    number: int
    ids: list[int]
    first: list[tuple[int, float]] | None = None


# (how many, at most) -> (requests, whether there will be more)
More = Callable[[int], tuple[list[Asked], bool]]


def prepare(gpus: Sequence[str]) -> None:
    """Set the environment for a copy of a model in this process. gpus: the names of its devices; "" for a process on a CPU."""
    caches.set_cache_folders()
    on_cpu = not any(gpus)
    for name, value in {**ENVIRONMENT, **(ON_CPU if on_cpu else {})}.items():
        os.environ.setdefault(name, value)
    # no child that could outlive the job, where one process is enough
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"


class Copy:
    """A copy of a model in this process (and in its children, where several GPUs share it)."""

    def __init__(self, options: dict[str, Any], gpus: Sequence[str]) -> None:
        """Load it. Raises BadInput for what vLLM refuses, such as a number of GPUs that does not divide the model's heads."""
        prepare(gpus)
        from vllm.engine.arg_utils import EngineArgs
        from vllm.usage.usage_lib import UsageContext
        from vllm.v1.engine.llm_engine import LLMEngine

        self._model, on_cpu = options["model"], not any(gpus)
        shared = {"tensor_parallel_size": len(gpus), "distributed_executor_backend": "mp"} if len(gpus) > 1 else {}
        try:
            # without GPUs, compiling takes longer than it saves; the context is that of vLLM's class LLM, whose batches are large
            arguments = EngineArgs(**options, **shared, enforce_eager=on_cpu)
            self._engine = LLMEngine.from_engine_args(arguments, usage_context=UsageContext.LLM_CLASS)
        except ValueError as error:
            raise BadInput(f"{options['model']}: vLLM cannot run it: {in_a_line(error)}") from error

    def stream(self, asked: Sequence[Asked], stops: list[int]) -> Iterator[Done]:
        """Yield the response to each request as it is done."""
        todo, left = iter(asked), len(asked)

        def more(room: int) -> tuple[list[Asked], bool]:
            nonlocal left
            given = list(islice(todo, room))
            left -= len(given)
            return given, left > 0

        for done in self.work(more, stops):
            yield from done

    def work(self, more: More, stops: list[int]) -> Iterator[list[Done]]:
        """Do what `stream` does, several at a time, with the requests that `more` gives."""
        from vllm.inputs import tokens_input

        engine, done, waiting = self._engine, list[Done](), True
        most = AHEAD + engine.vllm_config.scheduler_config.max_num_seqs
        while waiting or engine.has_unfinished_requests():
            room = most - engine.get_num_unfinished_requests()
            # in portions, so that few steps wait for them
            if waiting and room >= AHEAD // 2:
                given, waiting = more(room)
                for one in given:
                    prompt = tokens_input(list(one.prompt))
                    engine.add_request(str(one.number), prompt, params_of(one, stops))
            outputs = engine.step() if engine.has_unfinished_requests() else []
            done += [done_of(output) for output in outputs if output.finished]
            if done and (len(done) >= TOGETHER or not engine.has_unfinished_requests()):
                self._refuse_nan()
                yield done
                done = []

    def _refuse_nan(self) -> None:
        from . import vllm_draw

        if any(self._engine.collective_rpc(vllm_draw.saw_nan)):
            raise BadInput(
                f"{self._model}: its logits became NaN while it generated; try another `dtype` (bfloat16 or float32), "
                "and check that the model's files are complete"
            )


def params_of(one: Asked, stops: list[int]) -> "SamplingParams":
    """Return vLLM's parameters of a request."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        temperature=0,
        max_tokens=one.limit,
        stop_token_ids=stops,
        ignore_eos=True,  # where it ends a response it is one of the stops
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
        extra_args=one.draw,
        logprobs=one.top or None,
    )


def done_of(output: "RequestOutput") -> Done:
    """Return the response in what vLLM gives."""
    response = output.outputs[0]
    first = None
    if response.logprobs:
        # the token that was drawn is among them, however unlikely it is; values are those of the model, before any drawing
        likeliest = sorted(response.logprobs[0].items(), key=lambda item: item[1].rank or 0)
        first = [(token, found.logprob) for token, found in likeliest]
    return Done(number_of(output), list(response.token_ids), first)


def number_of(output: "RequestOutput") -> int:
    """Return the number of a request; vLLM adds a mark to it."""
    return int(output.request_id.partition("-")[0])


def in_a_line(error: Exception) -> str:
    """Return the message of an error that vLLM raises, without what pydantic puts around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next(
        (line for line in lines if "error," in line.lower() or "Value error" in line), lines[0] if lines else ""
    )
    return told.removeprefix("Value error, ").partition(" [type=")[0]
