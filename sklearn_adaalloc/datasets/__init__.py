"""Reward tables for training and evaluation, and public sets of queries."""

from sklearn_adaalloc.datasets._arithmetic import (
    embedded_model_path,
    grade_arithmetic,
    load_arithmetic,
)
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
    "variance_tranches",
]
