"""What a model's files must hold together: weights for every place and a place for all weights, a row for every token, and a
chat template that shows what was said."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from . import chat
from .templates import render

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from ..spec.settings import ChatSettings
    from .chat import Message

POOLER = "pooler."  # prefix of an encoder's weights that many models are saved without; they are never used here
LEAVE_OUT = "leave_out"  # a value of `refused_prompts`
ASKED, ANSWERED = "whatwasasked", "whatwassaid"  # letters only, which no template escapes


def check_weights(network: "PreTrainedModel", kind: str, source: str, info: Mapping[str, Iterable]) -> None:
    """Raise BadInput unless files and network have the same weights, and a reward model has one output.

    transformers fills missing weights with random numbers (the score head of a model that is no reward model), and leaves out
    those that find no place (the biases of a model whose config names another architecture). Its own lists of weights that may
    be left out hold here too.

    Args:
        info: the loading info of from_pretrained: missing_keys, unexpected_keys, mismatched_keys.
    """
    if mismatched := sorted(info["mismatched_keys"]):
        name, found, wanted = mismatched[0]
        remedy = (
            "correct `num_labels` or `id2label` in its config.json"
            if kind in ("reward", "classifier")
            else "correct its config.json"
        )
        raise BadInput(
            f"{source}: {name} is {tuple(found)} in the weights, and {tuple(wanted)} by the config; {remedy}"
        )
    missing = sorted(key for key in info["missing_keys"] if kind != "encoder" or not key.startswith(POOLER))
    if missing:
        raise BadInput(f"{source}: no {kind} model, its weights lack {', '.join(missing[:3])}")
    left_over = sorted(key for key in info["unexpected_keys"] if kind == "causal" or _in_body(network, key))
    if left_over:
        names = ", ".join(left_over[:3])
        raise BadInput(
            f"{source}: {len(left_over)} of its weights have no place in a {network.config.model_type} model, such as {names}; "
            "its config.json names another architecture or leaves out an option (a bias, for example)"
        )
    if kind == "reward" and network.config.num_labels != 1:
        labels = ", ".join(f"{number} ({label})" for number, label in sorted(network.config.id2label.items()))
        raise BadInput(
            f"{source}: a reward model has one output, this one has {network.config.num_labels}; name the one that is the reward as "
            f"`output`: {labels}"
        )


def _in_body(network: "PreTrainedModel", key: str) -> bool:
    """Return whether a weight belongs to a part that the network has. Others are heads, which change nothing else."""
    part = key.removeprefix(f"{network.base_model_prefix}.").partition(".")[0]
    return part in dict(network.base_model.named_children())


def check_ids(tokenizer: "PreTrainedTokenizerFast", network: "PreTrainedModel") -> None:
    """Let a network refuse tokens that it has no embedding for, and the tokenizer pad with a token that has one.

    Without it such an id is an IndexError on a CPU, and on a GPU an error of the device.
    """
    embeddings = network.get_input_embeddings()
    # under ZeRO 3 a rank holds only a part of the weight
    size = getattr(embeddings, "num_embeddings", None) or embeddings.weight.shape[0]
    outside = {id: token for token, id in tokenizer.get_vocab().items() if id >= size}
    if tokenizer.pad_token_id in outside:
        known = tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in outside
        instead = tokenizer.eos_token if known else tokenizer.convert_ids_to_tokens(0)
        print(f"the model has no embedding for {tokenizer.pad_token}, so padding is {instead}", flush=True)
        tokenizer.pad_token = instead
    if not outside:
        return

    def refuse(_module: object, inputs: "tuple[torch.Tensor, ...]") -> None:
        refuse_ids(inputs[0].unique().tolist() if inputs else (), outside, network.name_or_path, size)

    embeddings.register_forward_pre_hook(refuse)


def refuse_ids(ids: Iterable[int], outside: Mapping[int, str], model: str, size: int) -> None:
    """Raise BadInput for an id without embedding. outside: {id: token} of these. size: how many embeddings the model has."""
    for id in ids:
        if id in outside:
            raise BadInput(
                f"{model}: the text has the token '{outside[id]}' (id {id}), and the model has embeddings for "
                f"the ids 0 to {size - 1} only; take the tokenizer and template that belong to the model, or add the row "
                "(resize_token_embeddings) and train it"
            )


def forget_wrong_padding(config: Any) -> bool:
    """Remove the padding token from a model's config where it is none of its tokens; return whether it was.

    torch takes -1 for the last token, whose embedding would then not be trained, and refuses an id beyond the last one.
    """
    text = config.get_text_config()
    size, padding = getattr(text, "vocab_size", None), getattr(text, "pad_token_id", None)
    if padding is None or size is None or 0 <= padding < size:
        return False
    text.pad_token_id = None
    return True


def check_prompts(
    rows: "Iterable[tuple[str, list[Message]]]",
    read: "Callable[[list[Message]], object]",
    chat_settings: "ChatSettings",
    model: str,
) -> set[str]:
    """Return the ids of the instructions that cannot be put to a model, where its settings leave them out.

    Args:
        rows: (id, messages) of all instructions; an id may come more than once.
        read: puts messages into the form that the model reads, and raises BadInput where it cannot.
        model: its name, for the message.
    Raises:
        BadInput: as `refuse_prompts` does.
    """
    failed: dict[str, BadInput] = {}
    seen: set[str] = set()
    for id, messages in rows:
        if id in seen:
            continue
        seen.add(id)
        try:
            read(messages)
        except BadInput as error:
            failed[id] = error
    refuse_prompts(failed, len(seen), chat_settings, model)
    return set(failed)


def refuse_prompts(failed: "Mapping[str, BadInput]", n: int, chat_settings: "ChatSettings", model: str) -> None:
    """Raise BadInput if some of n instructions cannot be put to a model, unless its settings leave them out; also if none can.

    failed: {id: why}.
    """
    if not failed:
        return
    first = next(iter(failed.values()))
    if len(failed) == n:
        raise first
    few = ", ".join([*failed][:3])
    message = f"{len(failed)} of {n} instructions cannot be put to {model}, such as {few}: {first}"
    if chat_settings.get("refused_prompts") != LEAVE_OUT:
        raise BadInput(f"{message}; `refused_prompts: {LEAVE_OUT}` beside `template` leaves them out")
    print(f"left out: {message}", flush=True)


def check_template(tokenizer: "PreTrainedTokenizerFast", chat_settings: "ChatSettings") -> None:
    """Raise BadInput when the chat template leaves out what a user or the assistant said.

    A template that is missing or fails is reported where it is used.
    """
    question: Message = {"role": "user", "content": ASKED}
    answer: Message = {"role": "assistant", "content": ANSWERED}
    for turns, is_prompt in (([question], True), ([question, answer], False)):
        if lost := _left_out(tokenizer, chat_settings, turns, is_prompt):
            raise BadInput(
                f"{tokenizer.name_or_path}: the chat template leaves out the text of the {lost} turn; correct it, or name "
                "another `template`"
            )


def check_turns(
    tokenizer: "PreTrainedTokenizerFast", chat_settings: "ChatSettings"
) -> "Callable[[list[Message]], None]":
    """Return what raises BadInput for messages of several turns, where the chat template shows the last one only."""
    turns: list[Message] = [
        {"role": role, "content": f"{text}{i}"}
        for i, (role, text) in enumerate((("user", ASKED), ("assistant", ANSWERED), ("user", ASKED)))
    ]
    lost = _left_out(tokenizer, chat_settings, turns, True)

    def check(messages: "list[Message]") -> None:
        if lost and sum(message["role"] != "system" for message in messages) > 1:
            raise BadInput(
                f"{tokenizer.name_or_path}: the chat template leaves out the text of an earlier {lost} turn; correct it, name "
                "another `template`, or take the first turns (`turns: first` of the instructions)"
            )

    return check


def reader(
    tokenizer: "PreTrainedTokenizerFast", chat_settings: "ChatSettings", format: str
) -> "Callable[[list[Message]], None]":
    """Return what raises BadInput for messages that cannot be put to a model as a prompt."""
    check_turns_of = check_turns(tokenizer, chat_settings)

    def read(messages: "list[Message]") -> None:
        if format == "chat":
            check_turns_of(messages)
        chat.prompt(tokenizer, messages, chat_settings, format)

    return read


def _left_out(
    tokenizer: "PreTrainedTokenizerFast", chat_settings: "ChatSettings", turns: "list[Message]", is_prompt: bool
) -> str | None:
    """Return the role of the first turn whose text is not in what the template makes; None where all are, or it fails."""
    try:
        text = render(tokenizer, turns, chat_settings, add_generation_prompt=is_prompt)
    except BadInput:
        return None
    return next((turn["role"] for turn in turns if turn["content"].lower() not in text.lower()), None)
