"""The settings of the paper, one short declaration each.

What the embedded scale changes is said by `task` alone: the embedded table in place of
the real model and set. What the paper does not say, or we do not know of it, is None.
"""

from dataclasses import dataclass, field

ROUTING_GRID = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
# Below 1 for reading off what B = 1 saves.
SAMPLES_GRID = (
    0.25,
    0.5,
    0.75,
    *range(1, 17),
    *range(18, 33, 2),
    *range(36, 65, 4),
    *range(72, 129, 8),
)


@dataclass(frozen=True)
class Full:
    """The real model and set of a setting.

    Attributes
    ----------
    fetch : str
        Loader in `sklearn_adaalloc.datasets`.
    model, strong_model : str
        Language models; the second one in routing only.
    reward : str
        "math" and "code" for the verifiers, else the name of a reward model.
    temperature : float
    max_new_tokens : int
    billions : tuple of float
        Parameters of each language model, in billions, for the estimate.
    reward_billions : float
        Those of the reward model, 0 for a verifier.
    chat_template : bool
    stop : tuple of str
        Where an answer ends.
    """

    fetch: str
    model: str
    billions: tuple
    reward: str
    strong_model: str | None = None
    reward_billions: float = 0.0
    temperature: float = 0.7
    max_new_tokens: int = 512
    chat_template: bool = False
    stop: tuple = ()


@dataclass(frozen=True)
class Setting:
    """One experiment.

    Attributes
    ----------
    name, title : str
    figure : str
        Where the paper shows it.
    kind : {"binary", "chat", "routing"}
        Which predictors, baselines and grid of budgets it takes.
    task : str
        Embedded table; "vas" is collected live.
    predictor : {"mlp", "lora"}
        As in the paper: an MLP on hidden states, or a LoRA of the language model.
    n_samples : int
        Samples per query at full scale.
    max_budget : int
        The paper's B_max; the embedded tables have 64 or 16 samples and end there.
    paper : dict
        The paper's Table 1: ours, avg, opt, acc and share, as far as known to us.
    full : Full
    min_budget : int
    tranches : bool
        Whether only the tranches of lowest and highest reward variance are tested.
    """

    name: str
    title: str
    figure: str
    kind: str
    task: str
    predictor: str
    n_samples: int
    max_budget: int
    full: Full | None = None
    paper: dict = field(default_factory=dict)
    min_budget: int = 0
    tranches: bool = False

    @property
    def grid(self):
        """Mean budgets, in routing shares of calls to the strong decoder."""
        return ROUTING_GRID if self.kind == "routing" else SAMPLES_GRID

    @property
    def baseline(self):
        """The paper's name of the policy that does not look at queries."""
        return "random" if self.kind == "routing" else "best-of-k"

    @property
    def targets(self):
        """What is predicted, the package's default first."""
        return {
            "binary": ("rate_distribution", "success_rate"),
            "chat": ("marginal_rewards",),
            "routing": ("preference",),
        }[self.kind]


_CHAT = Full(
    fetch="fetch_lmsys_chat",
    model="google/gemma-7b-it",
    billions=(8.5,),
    reward="NCSOFT/Llama-3-OffsetBias-RM-8B",
    reward_billions=8.0,
)

SETTINGS = {
    setting.name: setting
    for setting in (
        Setting(
            name="code",
            title="Code",
            figure="Figure 3, code",
            kind="binary",
            task="code",
            predictor="mlp",
            n_samples=100,
            max_budget=100,
            paper={"ours": 0.33, "avg": 0.58, "opt": 0.20, "acc": 0.74},
            full=Full(
                fetch="fetch_taco",
                # StarCoder as the authors of TACO tuned it.
                model="flagopen/starcoder-15b-taco",
                billions=(15.5,),
                reward="code",
                stop=("\nQUESTION", "\n---", "\nANSWER"),
            ),
        ),
        Setting(
            name="math",
            title="Math",
            figure="Figure 3, math",
            kind="binary",
            task="math",
            predictor="lora",
            n_samples=128,
            max_budget=128,
            paper={"ours": 0.48, "avg": 0.69, "opt": 0.34, "acc": 0.84},
            full=Full(
                fetch="fetch_numina_math",
                model="mistralai/Mathstral-7B-v0.1",
                billions=(7.2,),
                reward="math",
                max_new_tokens=1024,
                chat_template=True,
            ),
        ),
        Setting(
            name="chat",
            title="Chat",
            figure="Figure 4, left",
            kind="chat",
            task="chat",
            predictor="mlp",
            n_samples=8,
            max_budget=8,
            min_budget=1,
            full=_CHAT,
        ),
        Setting(
            name="tranches",
            title="Chat, tranches",
            figure="Figure 4, right",
            kind="chat",
            task="chat",
            predictor="mlp",
            n_samples=8,
            max_budget=8,
            min_budget=1,
            tranches=True,
            full=_CHAT,
        ),
        Setting(
            name="routing-size",
            title="Routing, model size",
            figure="Figure 5, model size",
            kind="routing",
            task="routing",
            predictor="lora",
            n_samples=8,
            max_budget=1,
            paper={"share": 0.33},
            full=Full(
                fetch="fetch_lmsys_chat",
                model="google/gemma-2b-it",
                strong_model="google/gemma-7b-it",
                billions=(2.5, 8.5),
                reward="NCSOFT/Llama-3-OffsetBias-RM-8B",
                reward_billions=8.0,
            ),
        ),
        Setting(
            name="routing-vas",
            title="Routing, VAS",
            figure="Figure 5, VAS",
            kind="routing",
            task="vas",
            predictor="lora",
            n_samples=4,
            max_budget=1,
            paper={"share": 0.33},
            full=Full(
                fetch="fetch_hh_harmless",
                model="meta-llama/Llama-2-7b-hf",
                billions=(6.7, 6.7),
                reward="OpenAssistant/reward-model-deberta-v3-large-v2",
                reward_billions=0.4,
                max_new_tokens=128,
                stop=("\n\nHuman:",),
            ),
        ),
    )
}


def paper_share(paper):
    """Share of the reducible loss that the paper's predictor explains, if known."""
    if "ours" in paper:
        return (paper["avg"] - paper["ours"]) / (paper["avg"] - paper["opt"])
    return paper.get("share")
