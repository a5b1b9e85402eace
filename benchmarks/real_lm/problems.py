"""The problems: prompts that ask for the code, or the steps, alone, and their graders.

The docstring of a code problem is shown as plain text. Small models repeat a docstring
that they see as code, which costs tokens and gets answers cut off. An example in the
chat helps more than an instruction: with the instruction alone, the answers of the 0.5B
model to GSM8K had 245 tokens on average and 11 % hit a limit of 384; with the example,
they have 131.
"""

import gzip
import inspect
import json

from sklearn_adaalloc.rewards import CodeVerifier, MathVerifier

LIMITS = {"mbpp": 256, "humaneval": 320, "gsm8k_train": 288, "gsm8k_test": 288}
"""Largest number of tokens of an answer."""
TEMPERATURE = 0.8
CODE = (
    "Write a Python function that starts as follows.\n\n```python\n{stub}\n```\n\n"
    "Task: {task}\n\nReply with the code of the function in one Python block and "
    "nothing else: no docstring, no comments, no examples, no explanation."
)
MATH = (
    "{question}\n\nSolve this in a few short lines, one calculation in each line. End "
    "with the line: The answer is N. Here N is the final number alone."
)
CODE_EXAMPLE = [
    {
        "role": "user",
        "content": CODE.format(
            stub="def count_vowels(text):",
            task="Write a function to count the vowels of a text.\n"
            '>>> count_vowels("hello")\n2\n>>> count_vowels("Sky")\n0',
        ),
    },
    {
        "role": "assistant",
        "content": "```python\ndef count_vowels(text):\n"
        '    return sum(letter in "aeiouAEIOU" for letter in text)\n```',
    },
]
MATH_EXAMPLE = [
    {
        "role": "user",
        "content": MATH.format(
            question="Mia earns $12 an hour. She works 5 hours on Monday and half as "
            "long on Tuesday. How many dollars does she earn in all?"
        ),
    },
    {
        "role": "assistant",
        "content": "On Tuesday she works 5 / 2 = 2.5 hours.\n"
        "In all she works 5 + 2.5 = 7.5 hours.\n"
        "She earns 7.5 * 12 = 90 dollars.\nThe answer is 90.",
    },
]


def read_problems(data, name):
    """Problems of a set, a list of dict; `data` is the folder of the outcome sets."""
    with gzip.open(data / "problems" / f"{name}.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def is_math(name):
    """Whether a set is one of word problems, not of functions to write."""
    return name.startswith("gsm8k")


def chat(name, problem):
    """Messages that put a problem of a set to a model."""
    if is_math(name):
        question = MATH.format(question=problem["question"].strip())
        return [*MATH_EXAMPLE, {"role": "user", "content": question}]
    stub, task = split_prompt(problem["prompt"])
    return [
        *CODE_EXAMPLE,
        {"role": "user", "content": CODE.format(stub=stub, task=task)},
    ]


def split_prompt(prompt):
    """Code before the docstring that ends a prompt, and the text of the docstring."""
    prompt = prompt.strip()
    stub, _, task = prompt[:-3].rpartition(prompt[-3:])
    return stub.rstrip(), inspect.cleandoc(task)


def verifier(name, problems):
    """The grader of a set, for the chats of its problems."""
    keys = [json.dumps(chat(name, each), sort_keys=True) for each in problems]
    if is_math(name):
        golds = [each["answer"].rpartition("####")[2].strip() for each in problems]
        return MathVerifier(dict(zip(keys, golds, strict=True)))
    tests = [
        {key: each[key] for key in ("test", "entry_point", "prompt")}
        for each in problems
    ]
    return CodeVerifier(dict(zip(keys, tests, strict=True)))
