"""How many GPU hours a setting takes at full scale: an order of magnitude.

Decoding is bound by memory, reading by arithmetic. With batches that fill a GPU of the
H100's class, transformers is taken to decode 12,000 tokens a second, and to read
60,000, with a model of a billion parameters; with a larger one, as many times fewer.
These are assumptions, not measurements.
"""

import inspect

from sklearn_adaalloc import datasets

DECODED, READ = 12_000, 60_000  # tokens per second of a model of a billion parameters
PROMPT_TOKENS = 300
SHARE_USED = 0.5  # of max_new_tokens, by the mean answer
LORA_PASSES = 3 * 10  # a training step costs three forward passes; ten epochs


def estimate(setting, top_k):
    """Numbers of queries and samples, and GPU hours by step.

    Parameters
    ----------
    setting : Setting
    top_k : int
        Tokens of the value model per token of the language model.

    Returns
    -------
    n_queries, n_samples : int
    hours : dict of str to float
    """
    recipe = setting.full
    parameters = inspect.signature(getattr(datasets, recipe.fetch)).parameters
    sizes = (
        parameters[f"n_{part}"].default for part in ("train", "validation", "test")
    )
    n_queries = sum(sizes)
    n_samples = n_queries * setting.n_samples * len(recipe.billions)
    answer_tokens = SHARE_USED * recipe.max_new_tokens
    tokens = n_queries * setting.n_samples * answer_tokens
    work = list(recipe.billions)
    if setting.task == "vas":
        work[1] *= 1 + top_k  # a value model of the same size reads every candidate
    read = n_samples * (PROMPT_TOKENS + answer_tokens)
    lora = LORA_PASSES * n_queries * PROMPT_TOKENS * (setting.predictor == "lora")
    hours = {
        "sampling": tokens * sum(work) / DECODED / 3600,
        "grading": read * recipe.reward_billions / READ / 3600,
        "predictor": (lora + n_queries * PROMPT_TOKENS)
        * recipe.billions[0]
        / READ
        / 3600,
    }
    return n_queries, n_samples, hours
