"""Logs of inspect_ai, read through its own Python interface."""

import math
from reprlib import repr as short_repr

from sklearn_adaalloc._utils.optional import import_optional
from sklearn_adaalloc.datasets._logs.rows import (
    as_number,
    as_paths,
    as_query,
    check_option,
    short_list,
)
from sklearn_adaalloc.datasets._logs.table import Sample, table_of

# What inspect_ai writes for grades that are no numbers.
_GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
# What is not used and can be larger than all else.
_UNUSED = {"events", "messages", "store", "timelines"}

# Settings that change what a model answers.
_SETTINGS = ("temperature", "top_p", "top_k", "max_tokens", "system_message")
_SETTINGS += ("effort", "reasoning_effort", "reasoning_tokens")


def read_inspect_logs(
    path_or_paths, *, scorer=None, cost="tokens", answer="extracted", score=None
):
    """Read queries and a reward table from evaluation logs of inspect_ai.

    Epochs are samples. Logs of several models give an axis of decoders; several logs of
    one model and task give more samples of it. Needs inspect_ai and pandas: the extra
    `inspect`.

    Parameters
    ----------
    path_or_paths : str, path, or sequence of them
        Logs, ``.eval`` or ``.json``, of evaluations that ended with success.
    scorer : str, default=None
        Scorer whose values are the rewards; for a value with several fields, the name
        of the scorer, a dot and the name of the field. None for the only one. Numbers
        and truth values are taken as they are, the grades C, P, I and N as 1, 0.5, 0
        and 0.
    cost : {"tokens", None}, default="tokens"
        "tokens": what a sample cost is the number of tokens that the model wrote for
        it, in all its turns, where the log counts them. Calls of the model in a role,
        such as grader, do not count. None: costs are left out.
    answer : {"extracted", "completion", None}, default="extracted"
        Label to vote on: what the scorer took for the answer, where it says so, or the
        whole text of the answer. None: labels are left out.
    score : str, default=None
        Scorer whose values are what a reranker sees, named like `scorer`.

    Returns
    -------
    queries : list of n_queries str or lists of dict
        Inputs of the data set: texts, or chats. What a solver adds to them, such as a
        system message or the choices, is not part of them.
    table : RewardTable
        Its decoders are the names of the models, in the order of the logs.

    Raises
    ------
    ImportError
        If inspect_ai is not installed.
    ValueError
        If a file is no such log, its status is another than success, it has no such
        scorer or several of them, a score is no number, a query holds more than text,
        no sample is graded, an evaluation is given twice, logs of one model and task
        differ in their settings, two tasks have the same query, or costs or scores are
        known of some samples only.

    Warns
    -----
    UserWarning
        If samples have no score, such as those that ended with an error, or were
        invalidated, and are left out, or queries without a graded sample of each model.

    See Also
    --------
    read_lm_eval_samples : Logs of lm-evaluation-harness.
    read_samples : Any file with one row per sample.

    Examples
    --------
    An evaluation with ``epochs=16`` gives a table of 16 samples per query.

    >>> from pathlib import Path
    >>> from sklearn_adaalloc.datasets import read_inspect_logs
    >>> def read_all(folder):
    ...     return read_inspect_logs(sorted(Path(folder).glob("*.eval")))
    """
    check_option(cost, "cost", ["tokens"])
    check_option(answer, "answer", ["extracted", "completion"])
    for name, value in {"scorer": scorer, "score": score}.items():
        if value is not None and not isinstance(value, str):
            raise ValueError(
                f"{name}={value!r} is not accepted. Expected the name of a scorer, or "
                "None."
            )
    paths = as_paths(path_or_paths)
    read_log = import_optional("inspect_ai.log", extra="inspect").read_eval_log
    logs = [(path, _read_log(path, read_log)) for path in paths]
    _check_distinct(logs)
    _check_settings(logs)
    samples = [
        sample
        for path, log in logs
        for sample in _samples(path, log, scorer, cost, answer, score)
    ]
    return table_of(samples, source=short_list(paths))


def _read_log(path, read_log):
    """One log, with what is used of its samples."""
    try:
        log = read_log(path, resolve_attachments="core", exclude_fields=_UNUSED)
    except FileNotFoundError:
        raise
    except Exception as error:  # what a damaged file raises differs by its format
        raise ValueError(
            f"{path} cannot be read as a log of inspect_ai ({type(error).__name__}: "
            f"{short_repr(str(error))}). Expected an .eval or .json file that "
            "inspect_ai wrote: is it another file, damaged, or of a later version?"
        ) from error
    if log.status != "success":
        raise ValueError(
            f"{path} has status {log.status!r}. Expected 'success', since others lack "
            f"samples: finish it with `inspect eval-retry {path}` and read the new log."
        )
    if not log.samples:
        raise ValueError(
            f"{path} has no samples. Expected those of a whole evaluation: evaluate "
            "again with log_samples=True."
        )
    return log


def _check_distinct(logs):
    """Check that no evaluation is given twice, as its .eval and its .json."""
    known = {}
    for path, log in logs:
        first = known.setdefault(log.eval.eval_id, path)
        if first != path:
            raise ValueError(
                f"{first} and {path} are the same evaluation. Expected each once: its "
                "samples would count twice."
            )


def _check_settings(logs):
    """Check that logs of one model and task, whose samples are one pool, fit."""
    known = {}
    for path, log in logs:
        config = log.eval.model_generate_config.merge(log.plan.config)
        settings = {name: getattr(config, name, None) for name in _SETTINGS}
        settings |= {
            name: getattr(log.eval, name)
            for name in ("task_args", "solver", "solver_args")
        }
        first, before = known.setdefault(
            (log.eval.task, log.eval.model), (path, settings)
        )
        for name, value in settings.items():
            if value != before[name]:
                raise ValueError(
                    f"{path} has {name}={short_repr(value)} and {first} has "
                    f"{name}={short_repr(before[name])}, of one model and task. "
                    "Expected the same settings, since their samples become one: read "
                    "them by themselves."
                )


def _samples(path, log, scorer, cost, answer, score):
    """The samples of a log, epoch by epoch in the order of the log."""
    scores = (name for each in log.samples for name in each.scores or {})
    known = list(dict.fromkeys(scores))
    if scorer is None and len(known) > 1:
        raise ValueError(
            f"scorer=None is not accepted for {path}, which has {len(known)} scorers. "
            f"Name the one whose values are the rewards: one of {known}."
        )
    grader = _find(scorer or "".join(known), "scorer", known, path)
    reranker = None if score is None else _find(score, "score", known, path)
    for each in log.samples:
        where = f"sample {each.id!r}, epoch {each.epoch}, of {path}"
        yield Sample(
            where,
            _query(each.input, where),
            _value(each, grader, where),
            task=log.eval.task,
            number=each.id,
            decoder=log.eval.model,
            cost=math.nan if cost is None else _output_tokens(each, log.eval),
            answer=_answer(each, grader, answer),
            score=math.nan if reranker is None else _value(each, reranker, where),
        )


def _find(name, role, known, path):
    """Scorer and field of its value, or None for the value itself."""
    if not known or name in known:
        return name, None
    scorer, _, field = name.rpartition(".")
    if scorer in known:
        return scorer, field
    raise ValueError(
        f"{role}={name!r} is no scorer of {path}. Expected one of {known}, with a dot "
        "and a name for a field of its value."
    )


def _value(sample, grader, where):
    """A score as a number; NaN where there is none."""
    scorer, field = grader
    if scorer not in (sample.scores or {}) or sample.invalidation is not None:
        return math.nan
    value = sample.scores[scorer].value
    if field is not None and isinstance(value, dict) and field in value:
        value = value[field]
    elif field is not None or isinstance(value, dict):
        fields = list(value) if isinstance(value, dict) else "none"
        raise ValueError(
            f"{where} has the value {short_repr(value)} of scorer {scorer!r}. Expected "
            f"the name of one of its fields, after a dot; there are: {fields}."
        )
    if isinstance(value, str):
        value = _GRADES.get(value, value)
    return as_number(
        value,
        f"the score {scorer!r}",
        where,
        otherwise="one of the grades C, P, I and N: name another scorer",
    )


def _query(value, where):
    """A text, or a chat as role and content of each message."""
    if isinstance(value, str):
        return value
    for message in value:
        if not isinstance(message.content, str) and any(
            part.type != "text" for part in message.content
        ):
            raise ValueError(
                f"{where} has a message with more than text in its query. Expected "
                "texts, or chats of texts: images and files cannot be queries."
            )
    chat = [{"role": each.role, "content": each.text} for each in value]
    return as_query(chat, where)


def _output_tokens(sample, evaluation):
    """Tokens that the evaluated model wrote; NaN where they were not counted.

    The count of a model includes its calls in a role, which are counted by role too.
    """
    usage = sample.model_usage.get(evaluation.model)
    if usage is None:
        return math.nan
    roles = evaluation.model_roles or {}
    own = [role for role in sample.role_usage if _is_own(roles.get(role), evaluation)]
    in_roles = sum(sample.role_usage[role].output_tokens for role in own)
    return float(usage.output_tokens - in_roles) or math.nan


def _is_own(model, evaluation):
    """Whether a role is played by the evaluated model; it is where none is named."""
    models = model if isinstance(model, list) else [model]
    return models[0] is None or models[0].model == evaluation.model


def _answer(sample, grader, answer):
    """The label to vote on."""
    if answer == "completion":
        return sample.output.completion
    score = (sample.scores or {}).get(grader[0])
    return score.answer if answer == "extracted" and score is not None else None
