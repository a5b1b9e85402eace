"""Fill a reward table: sample answers, grade them, and store both."""

from sklearn_adaalloc.collect._collect import collect_rewards
from sklearn_adaalloc.collect._store import RewardStore

__all__ = ["RewardStore", "collect_rewards"]
