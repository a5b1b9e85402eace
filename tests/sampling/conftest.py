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
    from sklearn_adaalloc.sampling._local import generation as _generation

    counts = []
    run = _generation.prefill

    def counted(language_model, token_ids, **options):
        counts.append(sum(map(len, token_ids)))
        return run(language_model, token_ids, **options)

    monkeypatch.setattr(_generation, "prefill", counted)
    return counts
