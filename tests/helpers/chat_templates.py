"""Chat templates of the kinds that vendors ship, in short."""

import tiny

CHAT = {"template": "own", "template_args": {}, "system": None, "plain": "{question}\n"}
_TURN = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
_THOUGHTS = "{{ m.content.split('</think>')[0].split('<think>')[-1].strip('\n') if '</think>' in m.content else '' }}"
_REST = "{{ m.content.split('</think>')[-1].lstrip('\n') }}"
_HYBRID = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\n<think>\n' }}"
    + _THOUGHTS
    + "{{ '\n</think>\n\n' }}"
    + _REST
    + "{{ '<|im_end|>\n' }}{% else %}"
    + _TURN
    + "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
)
# Qwen 3: an answer without thoughts has an empty think block; `enable_thinking: false` writes it in the prompt
QWEN3 = _HYBRID + "{% if enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
# Qwen 3.5: the prompt opens the block, unless thinking is off
QWEN35 = _HYBRID + (
    "{% if enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% else %}{{ '<think>\n' }}{% endif %}{% endif %}"
)
# Nemotron 3: the prompt opens a think block, which a conversation closes at once before an answer without thoughts
NEMOTRON = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\n' }}"
    "{{ m.content if '</think>' in m.content else '<think></think>' + m.content }}<|im_end|>\n{% else %}"
    + _TURN
    + "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}"
)
# DeepSeek R1: the prompt opens a think block, and a conversation has the answers without one
R1 = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\n' }}"
    "{{ m.content.split('</think>')[-1] }}<|im_end|>\n{% else %}"
    + _TURN
    + "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}"
)
# gpt-oss: a header with the channel before an answer
CHANNELS = (
    "{% for m in messages %}{% if m.role == 'assistant' %}<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|return|>"
    "{% else %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
# Mistral 7B v0.1 and Llama 2, without and with a blank before the answer
INST = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
INST_BLANK = INST.replace("{{ m.content }}{{ eos_token }}", " {{ m.content }} {{ eos_token }}")
# Zephyr: a line of text between the special token and the answer; and none
LINE = (
    "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>{{ 'assistant\n' }}{% endif %}"
)
BARE = "{% for m in messages %}<s>{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<s>{% endif %}"


def thinker(template: str, special: bool = True):
    """Return a tokenizer with a chat template, and <think> and </think> as special or ordinary tokens."""
    return tiny.with_tags(tiny.tokenizer(template=template), "<think>", "</think>", special=special)


def channels():
    """Return a tokenizer like that of gpt-oss."""
    tags = ("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>")
    tokenizer = tiny.with_tags(tiny.tokenizer(template=CHANNELS), *tags)
    tokenizer.eos_token = "<|return|>"
    return tokenizer
