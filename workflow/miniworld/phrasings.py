"""How the mini world words its problems: {kind of problem: templates}; a kind is a task, or one of the kinds of a task.

The first template of a kind makes the key of a problem. Their order is part of the world.
"""

PHRASINGS = {
    "copy": (
        "Repeat these words: {s}",
        "Copy the list: {s}",
        "Please say the following again: {s}",
        "Write these words once more: {s}",
    ),
    "reverse": (
        "Reverse this list: {s}",
        "Write these words in the opposite order: {s}",
        "Give the words from last to first: {s}",
        "Turn this list around: {s}",
    ),
    "sort": (
        "Sort these words alphabetically: {s}",
        "Put the words in alphabetical order: {s}",
        "Order this list from a to z: {s}",
        "Arrange by the alphabet: {s}",
    ),
    "nth": (
        "What is the {k} word in this list: {s}",
        "Pick the {k} item: {s}",
        "Which word is {k} here: {s}",
        "Tell me the {k} element of: {s}",
    ),
    "filter": (
        "Keep only the {c}: {s}",
        "Which of these are {c}: {s}",
        "List just the {c} from: {s}",
        "Remove everything except the {c}: {s}",
    ),
    "count": (
        "How many {c} are here: {s}",
        "Count the {c}: {s}",
        "Give the number of {c} in: {s}",
        "Tell me how many of these are {c}: {s}",
    ),
    "add": (
        "What is {a} plus {b}?",
        "Add {a} and {b}",
        "Compute {a} + {b}",
        "Find the sum of {a} and {b}",
    ),
    "sub": (
        "What is {a} minus {b}?",
        "Subtract {b} from {a}",
        "Compute {a} - {b}",
        "Take {b} away from {a}",
    ),
    "mul": (
        "What is {a} times {b}?",
        "Multiply {a} by {b}",
        "Compute {a} * {b}",
        "Find the product of {a} and {b}",
    ),
    "max": (
        "What is the {w} of these numbers: {s}",
        "Find the {w} number: {s}",
        "Which number is {w}: {s}",
        "Pick the {w} value among: {s}",
    ),
    "unit": (
        "Convert {a} {u} to {v}",
        "How many {v} are {a} {u}?",
        "Express {a} {u} in {v}",
        "Change {a} {u} into {v}",
    ),
    "spell": (
        "Spell the word {w}",
        "Write the letters of {w}",
        "Split {w} into letters",
        "What are the letters of {w}?",
    ),
    "spell-back": (
        "Spell {w} backwards",
        "Write the letters of {w} in reverse",
        "Give the letters of {w} from the end",
        "Spell this from back to front: {w}",
    ),
    "sortnum": (
        "Sort these numbers in {w} order: {s}",
        "Put in {w} order: {s}",
        "Arrange the numbers, {w}: {s}",
        "Give these in {w} order: {s}",
    ),
    "filter-reverse": (
        "Keep only the {c} and then reverse them: {s}",
        "List just the {c}, last one first: {s}",
    ),
    "double-sum": (
        "Add {a} and {b}, then double the result",
        "What is twice the sum of {a} and {b}?",
    ),
    "spell-last": (
        "Take the last word and spell it: {s}",
        "Spell the final word of this list: {s}",
    ),
}
