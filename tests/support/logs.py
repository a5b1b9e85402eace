"""What tests of logs share: the logs, and files that are made of them."""

import json
from pathlib import Path

LOGS = Path(__file__).parents[1] / "datasets" / "data" / "logs"


def lm_eval_log(model, task):
    (path,) = LOGS.glob(f"{model}/samples_{task}_*.jsonl")
    return path


def lines_of(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write_lines(path, rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return path
