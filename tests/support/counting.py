"""What models run inside, counted or made to fail: no test reaches in elsewhere."""

from sklearn_adaalloc.language_models import _model, _pooling
from sklearn_adaalloc.sampling._local import generation

# Each takes a language model, then the rows of a batch.
STEPS = {
    "read": (_pooling, "_pooled_batch"),
    "prefill": (generation, "prefill"),
    "decode": (generation, "decode"),
}


def count_tokens(rows):
    return sum(map(len, rows))


def record(monkeypatch, step, measure):
    """Return a list that fills with a measure of the rows of each batch.

    Parameters
    ----------
    monkeypatch : pytest.MonkeyPatch
        Takes the change back.
    step : {"read", "prefill", "decode"}
        What is recorded.
    measure : callable
        From the rows of a batch to what is noted. It may raise in place of the step.

    Returns
    -------
    measures : list
    """
    module, name = STEPS[step]
    run, measures = getattr(module, name), []

    def recorded(language_model, rows, *args, **options):
        measures.append(measure(rows))
        return run(language_model, rows, *args, **options)

    monkeypatch.setattr(module, name, recorded)
    return measures


def forget_models():
    """Drop the models in memory, as under many others."""
    _model._shared_language_model.cache_clear()


def record_loads(monkeypatch):
    """Return a list that fills with the names of models whose weights are read."""
    names, read = [], _model._read_language_model

    def recorded(name, *args):
        names.append(name)
        return read(name, *args)

    forget_models()
    monkeypatch.setattr(_model, "_read_language_model", recorded)
    return names
