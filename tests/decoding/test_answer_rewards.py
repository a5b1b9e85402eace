"""Verifiers grade single queries, off the event loop; processes share a price."""

import asyncio
import time

import pytest
from answering import run, stream_policy

from sklearn_adaalloc.decoding import BestOfK
from sklearn_adaalloc.rewards import CodeVerifier, MathVerifier

QUERIES = [f"{i}+{i}=" for i in range(16)]


async def add(prompts, budgets, first_sample):
    """The right sum, but for the first sample."""
    return [
        [
            str(2 * int(prompt.partition("+")[0]) + (first + j == 0))
            for j in range(budget)
        ]
        for prompt, budget, first in zip(prompts, budgets, first_sample, strict=True)
    ]


def test_math_verifier():
    pytest.importorskip("math_verify", reason="needs the extra verify")
    verifier = MathVerifier(
        {query: str(2 * i) for i, query in enumerate(QUERIES)}, n_jobs=2
    )
    answered = run(BestOfK(stream_policy(), add, verifier, n_graders=4), QUERIES)
    assert [each.answer for each in answered] == [str(2 * i) for i in range(16)]
    assert [each.budget for each in answered] == [2] * 16


def test_code_verifier():
    programs = {
        "right": "```python\nprint(int(input()) + 1)\n```",
        "wrong": "```python\nprint(int(input()))\n```",
        "endless": "```python\nwhile True: pass\n```",
    }

    async def write(prompts, budgets):
        return [[programs[prompts[0]]] * budgets[0]]

    verifier = CodeVerifier(
        lambda query: {"inputs": ["1"], "outputs": ["2"]},
        timeout=1.0,
        n_jobs=1,
        sandbox="unsafe-none",
    )
    gaps = []

    async def beat():
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - before)

    async def main():
        heart = asyncio.create_task(beat())
        async with BestOfK(stream_policy(1), write, verifier) as decoder:
            answered = await asyncio.gather(*map(decoder.answer, programs))
        heart.cancel()
        return [each.reward for each in answered]

    assert asyncio.run(main()) == [1.0, 0.0, 0.0]
    assert max(gaps) < 0.8


def test_a_stream_in_a_file_is_shared(tmp_path):
    policy, path = stream_policy(), tmp_path / "stream.sqlite"
    for _ in range(2):
        with policy.open(path=path) as stream:
            run(BestOfK(stream, add, lambda q, a: [[1.0] * len(a[0])]), QUERIES)
    with policy.open(path=path) as stream:
        assert (stream.n_queries, stream.mean_cost) == (2 * len(QUERIES), 1.0)
