"""The gallery's order: from the first curve to production."""

ORDER = [
    "plot_budget_curve.py",
    "plot_allocation.py",
    "plot_difficulty_model.py",
    "plot_rate_distribution.py",
    "plot_sequential.py",
    "plot_costs.py",
    "plot_votes.py",
    "plot_scores.py",
    "plot_choose_budget.py",
    "plot_regressors.py",
    "plot_real_valued_rewards.py",
    "plot_routing.py",
    "plot_cascade.py",
    "plot_who_answers.py",
    "plot_value_augmented.py",
    "plot_own_model.py",
    "plot_logs.py",
    "plot_unit_tests.py",
    "plot_stream.py",
    "plot_production.py",
]


class TaughtOrder:
    """Sort key over file names; a new example has to be given its place."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, name):
        """Place of an example in the gallery."""
        return ORDER.index(name)

    def __repr__(self):
        return type(self).__name__  # Sphinx compares settings by their text
