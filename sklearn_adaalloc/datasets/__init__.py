"""Reward tables for training and evaluation, public queries, readers of logs."""

from sklearn_adaalloc.datasets._arithmetic import (
    embedded_model_path,
    grade_arithmetic,
    load_arithmetic,
)
from sklearn_adaalloc.datasets._logs.eval_records import read_eval_records
from sklearn_adaalloc.datasets._logs.inspect_logs import read_inspect_logs
from sklearn_adaalloc.datasets._logs.lm_eval import read_lm_eval_samples
from sklearn_adaalloc.datasets._logs.samples import read_samples
from sklearn_adaalloc.datasets._prices import read_prices
from sklearn_adaalloc.datasets._public_chat import (
    fetch_hh_harmless,
    fetch_lmsys_chat,
    variance_tranches,
)
from sklearn_adaalloc.datasets._public_code import fetch_taco
from sklearn_adaalloc.datasets._public_math import (
    fetch_gsm8k,
    fetch_math,
    fetch_numina_math,
)
from sklearn_adaalloc.datasets._synthetic import make_reward_table

__all__ = [
    "embedded_model_path",
    "fetch_gsm8k",
    "fetch_hh_harmless",
    "fetch_lmsys_chat",
    "fetch_math",
    "fetch_numina_math",
    "fetch_taco",
    "grade_arithmetic",
    "load_arithmetic",
    "make_reward_table",
    "read_eval_records",
    "read_inspect_logs",
    "read_lm_eval_samples",
    "read_prices",
    "read_samples",
    "variance_tranches",
]
