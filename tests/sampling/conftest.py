"""Fixtures that the tests of several samplers share."""

import pytest
from servers import shorten_waits

CAUSAL = ("llama", "gpt2", "qwen2")


@pytest.fixture
def short_waits(monkeypatch):
    shorten_waits(monkeypatch)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(params=CAUSAL)
def folder(request, tiny_models):
    return tiny_models[request.param]


@pytest.fixture
def tokens_run(monkeypatch):
    """Number of prompt tokens of each batch that was prefilled."""
    from counting import count_tokens, record

    return record(monkeypatch, "prefill", count_tokens)
