"""Collect the outcomes of one model: answers, grades, log-probabilities, hidden states.

``python -m benchmarks.real_lm.collect MODEL.gguf --name 0.5b --store FOLDER``, on a CPU
or a GPU. Every answer is kept at once in a store of ``collect_rewards``: kill it at any
point and run it again. Its bar says how long it will take. At the end, the files of
`outcomes.py` are written.

The kept outcomes were sampled with these prompts and this sampler on one NVIDIA H200 in
bfloat16, by several processes at once, and graded on another machine.
"""

import argparse
import json
import re
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.quality.outcome_sets import add_data_option
from benchmarks.real_lm import outcomes
from benchmarks.real_lm.problems import (
    LIMITS,
    TEMPERATURE,
    chat,
    is_math,
    read_problems,
    verifier,
)
from sklearn_adaalloc import HiddenStateFeaturizer, collect_rewards
from sklearn_adaalloc.collect import RewardStore
from sklearn_adaalloc.language_models import load_language_model
from sklearn_adaalloc.rewards._mathematics.final_answers import final_answer
from sklearn_adaalloc.sampling import TransformersSampler

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
FITTED = ("mbpp", "gsm8k_train")  # sets that principal components are fitted on


def collect(model, name, store, data, *, n_samples, limits, options, folder):
    """Collect all sets and write their files.

    Parameters
    ----------
    model : path
        Folder or GGUF file.
    name : str
        Name of the model in the files, one of ``outcomes.MODELS``.
    store : path
        Folder of the stores.
    data : path
        Folder of the outcome sets.
    n_samples : int
    limits : dict of str to int
        Sets, and how many of their problems are answered.
    options : dict
        Device and dtype.
    folder : path
        Where the files are written.
    """
    store.mkdir(parents=True, exist_ok=True)
    language_model = load_language_model(str(model), **options)
    chats = {
        each: [chat(each, p) for p in read_problems(data, each)[:n]]
        for each, n in limits.items()
    }
    ends = {}  # prompts with their first answers
    for each, queries in chats.items():
        sampler = TransformersSampler(
            str(model),
            temperature=TEMPERATURE,
            max_new_tokens=LIMITS[each],
            batch_tokens=800_000 if language_model.device.type == "cuda" else 16384,
            **options,
        )
        grader = verifier(each, read_problems(data, each)[: len(queries)])
        file = store / f"{each}_{name}.sqlite"
        collect_rewards(queries, sampler, grader, n_samples, store=file)
        with RewardStore(file) as kept:
            frame = kept.to_frame(settings=sampler.settings)
        # (n_problems, n_samples) of each column, in the order of the chats
        columns = _tables(frame, queries, n_samples)
        ends[each] = [
            language_model.render_chat(query, add_generation_prompt=True) + first
            for query, first in zip(queries, columns["answer"][:, 0], strict=True)
        ]
        logs = [
            mean_log_probabilities(language_model, query, answers)
            for query, answers in zip(queries, columns["answer"], strict=True)
        ]
        outcomes.save_outcomes(
            each,
            name,
            rows=range(len(queries)),
            rewards=columns["reward"].astype(float),
            tokens=columns["answer_tokens"],
            cut_off=columns["cut_off"].astype(bool),
            logs=logs,
            texts=columns["answer"].tolist(),
            labels=labels_of(columns["answer"], columns["cut_off"], each),
            folder=folder,
        )
    n_layers = len(language_model.backbone.layers)
    layers = sorted({n_layers // 4, n_layers // 2, 2 * n_layers // 3, n_layers - 1})
    read = partial(_collect_features, model, options=options, folder=folder)
    read(name, chats, layers, ("last", "mean"), n_components=192)
    layers = [5 * n_layers // 6, n_layers - 1]
    read(f"{name}_answers", ends, layers, ("last",), n_components=64)


def _tables(frame, queries, n_samples):
    keys = [json.dumps(query, sort_keys=True) for query in queries]
    position = {key: row for row, key in enumerate(keys)}
    names = ("answer", "reward", "answer_tokens", "cut_off")
    columns = {name: np.empty((len(keys), n_samples), dtype=object) for name in names}
    for line in frame.to_dict("records"):
        query = line["query"]
        key = query if isinstance(query, str) else json.dumps(query, sort_keys=True)
        for name in names:
            columns[name][position[key], line["sample"]] = line[name]
    return columns


def labels_of(texts, cut_off, name):
    """Final answers to vote on, None where there is none; None for code."""
    if not is_math(name):
        return None
    return [
        [None if cut else label(text) for text, cut in zip(*row, strict=True)]
        for row in zip(texts, cut_off, strict=True)
    ]


def label(text):
    """Final answer of a text; if it has one number, the number without its unit."""
    answer = final_answer(text)
    found = _NUMBER.findall(answer.replace("$", ""))
    if len(found) != 1:
        return answer
    value = float(found[0].replace(",", ""))
    return str(int(value)) if value.is_integer() else str(value)


def mean_log_probabilities(language_model, query, answers):
    """Mean log-probability of the tokens of each answer, at temperature 1."""
    import torch

    prompt = language_model.render_chat(query, add_generation_prompt=True)
    start = len(language_model.encode([prompt])[0][0])
    token_ids, _ = language_model.encode([prompt + answer for answer in answers])
    means = []
    for ids in token_ids:
        input_ids, _ = language_model.pad([ids])
        with torch.inference_mode(), language_model.lock:
            logits = language_model.model(input_ids=input_ids).logits[0].float()
        chosen = logits[start - 1 : -1].log_softmax(dim=-1)
        picked = chosen.gather(1, input_ids[0, start:, None])
        means.append(float(picked.mean()) if len(picked) else np.nan)
    return means


def _collect_features(
    model, name, texts, layers, poolings, *, n_components, options, folder
):
    """Write hidden states of prompts, or of other texts of each problem, by set."""
    everything = [text for part in texts.values() for text in part]
    sets = [outcomes.SETS.index(each) for each, part in texts.items() for _ in part]
    rows = [row for part in texts.values() for row in range(len(part))]
    fitted = np.isin(sets, [outcomes.SETS.index(each) for each in FITTED])
    states = {}
    for pooling in poolings:
        values = HiddenStateFeaturizer(
            str(model), layer=layers, pooling=pooling, progress=True, **options
        ).fit_transform(everything)
        for layer, part in zip(layers, np.split(values, len(layers), 1), strict=True):
            states[layer, pooling] = part
    outcomes.save_features(
        name,
        states,
        sets,
        rows,
        fitted=fitted,
        n_components=n_components,
        folder=folder,
    )


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--name", choices=outcomes.MODELS, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--problems", type=int, default=1000, help="of GSM8K train")
    parser.add_argument("--folder", type=Path, default=outcomes.FOLDER)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    add_data_option(parser)
    args = parser.parse_args()
    limits = {"mbpp": 974, "humaneval": 164, "gsm8k_train": args.problems}
    limits["gsm8k_test"] = 1319
    collect(
        args.model,
        args.name,
        args.store,
        args.data,
        n_samples=args.samples,
        limits=limits,
        options={"device": args.device, "dtype": args.dtype},
        folder=args.folder,
    )


if __name__ == "__main__":
    main()
