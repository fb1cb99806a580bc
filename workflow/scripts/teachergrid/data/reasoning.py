"""Think blocks: the reasoning that some models write before their answer, between <think> and </think> or tags like these.

Responses without them count as those of another teacher (engine `stripped`). So rewards, likelihoods and SFT see the same
text, and nothing is removed silently.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

from ..store import artifacts

# DeepSeek R1, Qwen 3 and many others; Magistral; Seed-OSS; Kimi; Command A Reasoning
TAGS = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
)
_BLOCKS = {tags: re.compile(rf"(?s){re.escape(tags[0])}.*?{re.escape(tags[1])}\s*") for tags in TAGS}
# gpt-oss writes messages in channels, of which `final` has the answer
CHANNEL, FINAL = "<|channel|>", "<|channel|>final<|message|>"
_CHANNELS_END = re.compile(r"(?:<\|start\|>assistant|<\|end\|>)\s*$")


def stripped(responses: pa.Table) -> pa.Table:
    """Return responses (artifacts.RESPONSES) without think blocks; the log says how many had one, and how many are now empty.

    Where a block was removed, response_tokens is null: the old number is that of another text.
    """
    before = responses["response"].to_pylist()
    after = [strip(text) for text in before]
    changed = pa.array([old != new for old, new in zip(before, after, strict=True)])
    emptied = sum(bool(old.strip()) and not new.strip() for old, new in zip(before, after, strict=True))
    print(f"{pc.sum(changed).as_py() or 0} of {len(before)} responses had a think block; {emptied} had nothing else")
    tokens = pc.if_else(changed, pa.scalar(None, pa.int32()), responses["response_tokens"].combine_chunks())
    columns = {"response": pa.array(after, pa.string()), "response_tokens": tokens}
    for name, column in columns.items():
        responses = responses.set_column(responses.column_names.index(name), name, column)
    return artifacts.table(responses, artifacts.RESPONSES)


def strip(text: str) -> str:
    """Return a text without its think blocks and the white space after them. A text without any stays as it is.

    Some templates open the block in the prompt, so a text may begin inside a block. A text that was cut off inside a block
    has no answer: everything after an opening tag without a closing tag is removed, and the rest may be empty. Of a text in
    channels, the last message of the channel `final` is left.

    Example: strip("<think>2 + 2 ...</think>\\n4") == "4"
    """
    for (opening, closing), block in _BLOCKS.items():
        if opening in text or closing in text:
            text = block.sub("", text)
            if closing in text:
                text = text.rpartition(closing)[2].lstrip()
            text = text.partition(opening)[0]
    if CHANNEL in text:
        _, found, final = text.rpartition(FINAL)
        text = _CHANNELS_END.sub("", final if found else text.partition(CHANNEL)[0])
    return text
