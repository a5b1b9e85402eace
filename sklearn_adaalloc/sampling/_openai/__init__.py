"""Sampling from servers that speak OpenAI's protocol."""

from sklearn_adaalloc.sampling._openai.sampler import OpenAISampler

__all__ = ["OpenAISampler"]
