"""How an answer looks: its length and its headers, lists and bold words in Markdown, as Arena-Hard counts them.

Source: lmarena/arena-hard-auto, utils/add_markdown_info.py. Code blocks do not count. There a length is in tokens of GPT-4o; here
words and signs are counted, so that both sides are measured alike without a tokenizer from elsewhere.
"""

import re

from ..stats.battles import Style

_CODE = re.compile(r"```([^`]*)```")
_HEADERS = re.compile(r"^#{1,6}\s", re.MULTILINE)
_LISTS = [re.compile(pattern, re.MULTILINE) for pattern in (r"^\s*\d+\.\s", r"^\s*[-*+]\s")]
_BOLD = [re.compile(pattern) for pattern in (r"\*\*[^*\n]+\*\*", r"__[^_\n]+__")]
_TOKEN = re.compile(r"\w+|[^\w\s]")


def style_of(text: str) -> Style:
    """Return the style of an answer."""
    blocks = _CODE.findall(text)
    prose = text
    for block in blocks:  # what stands between the fences goes wherever it stands, the fences stay: as in the source
        prose = prose.replace(block, "")
    lists = sum(len(pattern.findall(prose)) for pattern in _LISTS)
    bold = sum(len(pattern.findall(prose)) for pattern in _BOLD)
    return Style(len(_TOKEN.findall(text)), len(_HEADERS.findall(prose)), lists, bold)
