"""The fourteen tasks of the mini world: seeded generators of problems over 24 words and small numbers.

A generator takes a `random.Random` and a level (1, 2, 3: longer lists, larger numbers) and returns
(phrasings, answer, worked steps). The order in which it draws from the random generator is part of the world:
a change there gives other data files and other models.
"""

from phrasings import PHRASINGS

CATEGORIES = {
    "fruits": ["apple", "cherry", "fig", "lemon", "melon", "pear"],
    "animals": ["bear", "cat", "dog", "horse", "lion", "mouse"],
    "colours": ["black", "blue", "green", "pink", "red", "white"],
    "tools": ["axe", "brush", "drill", "knife", "nail", "saw"],
}
MEMBER = {"fruits": "a fruit", "animals": "an animal", "colours": "a colour", "tools": "a tool"}
CATEGORY_OF = {word: category for category, words in CATEGORIES.items() for word in words}
WORDS = sorted(CATEGORY_OF)
ORDINALS = ("first", "second", "third", "fourth", "fifth")
UNITS = (
    ("hours", "minutes", 60),
    ("dozens", "items", 12),
    ("weeks", "days", 7),
    ("metres", "centimetres", 100),
    ("kilometres", "metres", 1000),
    ("minutes", "seconds", 60),
)


def _join(parts) -> str:
    return " ".join(map(str, parts))


def _phrase(kind, **values) -> list[str]:
    return [template.format(**values) for template in PHRASINGS[kind]]


def _mixed(rng, category, inside, total) -> list[str]:
    """Return `total` words in random order, `inside` of them of the category."""
    others = [word for word in WORDS if CATEGORY_OF[word] != category]
    words = rng.sample(CATEGORIES[category], inside) + rng.sample(others, total - inside)
    rng.shuffle(words)
    return words


def _keep_steps(words, category) -> str:
    return _join(
        f"{word} is {MEMBER[CATEGORY_OF[word]]} , {'keep' if CATEGORY_OF[word] == category else 'skip'} ."
        for word in words
    )


def _digits(a, b):
    """Return the pairs of digits of two numbers, lowest first, the shorter one padded with zeros."""
    width = max(len(str(a)), len(str(b)))
    return zip(map(int, str(a).zfill(width)[::-1]), map(int, str(b).zfill(width)[::-1]), strict=True)


def copy(rng, level):
    words = _join(rng.sample(WORDS, 1 + level))
    phrasings = _phrase("copy", s=words)
    return phrasings, words, f"The words are {words} ."


def reverse(rng, level):
    words = rng.sample(WORDS, 1 + level)
    phrasings = _phrase("reverse", s=_join(words))
    numbered = _join(f"{i} {word}" for i, word in enumerate(words, 1))
    return phrasings, _join(words[::-1]), f"Number them: {numbered} . Go from {len(words)} down to 1 ."


def sort(rng, level):
    words = rng.sample(WORDS, 1 + level)
    phrasings = _phrase("sort", s=_join(words))
    ordered = sorted(words)
    steps = []
    for i, word in enumerate(ordered[:-1]):
        rest = [w for w in words if w in ordered[i + 1 :]]
        steps.append(f"{word} comes before {_join(rest)} .")
    return phrasings, _join(ordered), _join(steps)


def nth(rng, level):
    words = rng.sample(WORDS, 2 + level)
    k = rng.randrange(len(words))
    phrasings = _phrase("nth", k=ORDINALS[k], s=_join(words))
    counted = _join(f"{i} {word}" for i, word in enumerate(words[: k + 1], 1))
    return phrasings, words[k], f"Count: {counted} ."


def filter_(rng, level):
    category = rng.choice(sorted(CATEGORIES))
    words = _mixed(rng, category, rng.randint(1, level), 1 + level)
    phrasings = _phrase("filter", c=category, s=_join(words))
    return phrasings, _join(w for w in words if CATEGORY_OF[w] == category), _keep_steps(words, category)


def count(rng, level):
    category = rng.choice(sorted(CATEGORIES))
    number = rng.randint(0, 1 + level)
    words = _mixed(rng, category, number, 1 + level)
    phrasings = _phrase("count", c=category, s=_join(words))
    steps, so_far = [], 0
    for word in words:
        so_far += CATEGORY_OF[word] == category
        steps.append(f"{word} is {MEMBER[CATEGORY_OF[word]]} , {so_far} .")
    return phrasings, str(number), _join(steps)


def add(rng, level):
    high = (9, 29, 99)[level - 1]
    a, b = rng.randint(1, high), rng.randint(1, high)
    phrasings = _phrase("add", a=a, b=b)
    steps, carry = [], 0
    for x, y in _digits(a, b):
        steps.append(f"{x} + {y} + {carry} = {x + y + carry} .")
        carry = (x + y + carry) // 10
    return phrasings, str(a + b), _join(steps)


def sub(rng, level):
    high = (9, 29, 99)[level - 1]
    a, b = sorted((rng.randint(1, high), rng.randint(0, high)), reverse=True)
    phrasings = _phrase("sub", a=a, b=b)
    steps, borrow = [], 0
    for x, y in _digits(a, b):
        y += borrow
        borrow = int(x < y)
        steps.append(f"{x} - {y} = {x - y + 10 * borrow} , {'borrow' if borrow else 'ok'} .")
    return phrasings, str(a - b), _join(steps)


def mul(rng, level):
    a, b = rng.randint(2, (5, 9, 19)[level - 1]), rng.randint(2, 9)
    phrasings = _phrase("mul", a=a, b=b)
    tens, ones = divmod(a, 10)
    steps = f"{tens} 0 * {b} = {tens * 10 * b} . {ones} * {b} = {ones * b} ." if tens else f"{a} times {b} ."
    return phrasings, str(a * b), steps


def max_(rng, level):
    numbers = rng.sample(range(1, (10, 50, 100)[level - 1]), 2 + level)
    best_of, word = (min, "smallest") if rng.random() < 0.5 else (max, "largest")
    phrasings = _phrase("max", w=word, s=_join(numbers))
    best = numbers[0]
    steps = [f"{best} ."]
    for number in numbers[1:]:
        best = best_of(best, number)
        steps.append(f"{number} , {best} .")
    return phrasings, str(best), "So far: " + _join(steps)


def unit(rng, level):
    big, small, factor = rng.choice(UNITS)
    a = rng.randint(1, (5, 9, 12)[level - 1])
    phrasings = _phrase("unit", a=a, u=big, v=small)
    return phrasings, str(a * factor), f"There are {factor} {small} in 1 of {big} . {a} * {factor} ."


def spell(rng, level):
    fits = (lambda n: n <= 4, lambda n: n == 5, lambda n: n > 5)[level - 1]
    word = rng.choice([word for word in WORDS if fits(len(word))])
    back = rng.random() < 0.4
    phrasings = _phrase("spell-back" if back else "spell", w=word)
    return phrasings, _join(word[::-1] if back else word), f"The letters of {word} are {_join(word)} ."


def sortnum(rng, level):
    numbers = rng.sample(range(1, (10, 50, 100)[level - 1]), (2, 3, 3)[level - 1])
    down = rng.random() < 0.4
    phrasings = _phrase("sortnum", w="descending" if down else "ascending", s=_join(numbers))
    ordered = sorted(numbers, reverse=down)
    steps = []
    for i, number in enumerate(ordered[:-1]):
        rest = [n for n in numbers if n in ordered[i + 1 :]]
        steps.append(f"take {number} , left {_join(rest)} .")
    return phrasings, _join(ordered), _join(steps)


def comp(rng, level):
    """Return a composition of two tasks, one of three kinds."""
    return (_filter_reverse, _double_sum, _spell_last)[rng.randrange(3)](rng, level)


def _filter_reverse(rng, level):
    category = rng.choice(sorted(CATEGORIES))
    words = _mixed(rng, category, rng.randint(2, 1 + level) if level > 1 else 2, 2 + level)
    keep = [word for word in words if CATEGORY_OF[word] == category]
    phrasings = _phrase("filter-reverse", c=category, s=_join(words))
    return phrasings, _join(keep[::-1]), f"{_keep_steps(words, category)} We have {_join(keep)} . Now reverse ."


def _double_sum(rng, level):
    high = (5, 9, 19)[level - 1]
    a, b = rng.randint(1, high), rng.randint(1, high)
    phrasings = _phrase("double-sum", a=a, b=b)
    return phrasings, str(2 * (a + b)), f"{a} + {b} = {a + b} . {a + b} + {a + b} = {2 * (a + b)} ."


def _spell_last(rng, level):
    words = rng.sample(WORDS, 1 + level)
    phrasings = _phrase("spell-last", s=_join(words))
    return phrasings, _join(words[-1]), f"The last word is {words[-1]} ."


_GENERATORS = (copy, reverse, sort, nth, filter_, count, add, sub, mul, max_, unit, spell, sortnum, comp)
TASKS = {generator.__name__.rstrip("_"): generator for generator in _GENERATORS}
