"""Pack models, queries and tables into the package's data folder.

    python pack.py --work DIR --data ../../sklearn_adaalloc/datasets/data

`DIR` holds what train.py, sample.py and reward.py wrote under the names of the README.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
from sample import N_TEST, N_TRAIN, SEED
from tasks import MIXES, table_queries

from sklearn_adaalloc.datasets._arithmetic import arithmetic_answer


def split_rows():
    """Rows of the training and of the test split.

    At random: short queries run out while distinct ones are drawn, so the first rows
    are easier than the last.
    """
    order = np.random.default_rng(SEED).permutation(N_TRAIN + N_TEST)
    return {"train": order[:N_TRAIN], "test": order[N_TRAIN:]}


def write_lines(mix, data):
    """One ``query=answer`` per line, training and test queries in a file each."""
    queries = table_queries(mix, N_TRAIN + N_TEST, SEED)
    lines = [query + arithmetic_answer(query) + "\n" for query in queries]
    for split, rows in split_rows().items():
        text = "".join(lines[row] for row in rows)
        (data / f"{mix}_{split}.txt").write_text(text, encoding="ascii")


def write_tables(mix, models, work, data):
    """Reward tables, 0/1 ones as bits: (n_queries, n_samples / 8) bytes."""
    tables = {}
    for model in models:
        rewards = np.load(work / f"{model}_{mix}.npz")["rewards"]
        if rewards.dtype == np.uint8:
            rewards = np.packbits(rewards, axis=1)
        for split, rows in split_rows().items():
            tables[f"{model}_{split}"] = rewards[rows]
    np.savez_compressed(data / f"{mix}.npz", **tables)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    for model in ("weak", "strong", "reward"):
        shutil.copytree(
            arguments.work / model, arguments.data / model, dirs_exist_ok=True
        )
    for mix in MIXES:
        models = ("weak",) if mix == "chat" else ("weak", "strong")
        write_lines(mix, arguments.data)
        write_tables(mix, models, arguments.work, arguments.data)


if __name__ == "__main__":
    main()
