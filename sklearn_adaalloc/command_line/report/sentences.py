"""What figures say, in plain sentences. Nothing is said that an interval does not."""

import math

from sklearn_adaalloc.command_line.report.evaluation import IN_ROUNDS, STREAM, UP_FRONT
from sklearn_adaalloc.command_line.report.menus import ONE_BY_ONE, ONE_PLAN

_FEW_QUERIES = 300
_ROUNDING = 1e-9
_MUCH_MORE = 1.05  # than the budget; a policy that spends it is said to
_WORDS = {
    UP_FRONT: "Decided up front, before any answer,",
    IN_ROUNDS: f"Decided {IN_ROUNDS}",
    STREAM: "Decided one query after another, as a stream,",
}
_ONE = {"answers": "answer", "units of cost": "unit of cost"}
_KNOWING = {
    "reward": "each grade known before more is spent",
    "score": "each score known before more is spent",
    "vote": "the answers so far known before more is spent",
}


def sentences(report):
    """Say what a report shows.

    Parameters
    ----------
    report : dict
        As ``--json`` prints it.

    Returns
    -------
    findings : list of str
        What was measured.
    advice : list of str
        What to do.
    """
    row = main_row(report["figures"]["rows"])
    if "decoders" in report["figures"]:
        return _menu_findings(report, row), _menu_advice(report, row)
    return _findings(report, row), _advice(report, row)


def main_row(rows):
    """The budget that sentences are about: one in the middle.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line.report.sentences import main_row
    >>> main_row([{"budget": 2}, {"budget": 4}, {"budget": 8}])
    {'budget': 4}
    """
    return rows[len(rows) // 2]


def gains(policy):
    """Whether a policy earns more than equal budgets at the same spend, surely."""
    return policy["gain_low"] > _ROUNDING


def loses(policy):
    """Whether it earns less, surely."""
    return policy["gain_high"] < -_ROUNDING


def saves(policy):
    """Whether it reaches what equal budgets reach with less, surely."""
    low = policy["saved_low"]
    return gains(policy) and low is not None and low > _ROUNDING


def zero(value):
    """A number, 0 if it differs from 0 by rounding only.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line.report.sentences import zero
    >>> zero(-1e-17), zero(0.1)
    (0.0, 0.1)
    """
    return value if abs(value) > _ROUNDING else 0.0


class Numbers:
    """How rewards and spends are written in one report.

    Parameters
    ----------
    report : dict
        Its "binary" and "unit" decide.
    """

    def __init__(self, report):
        self.binary = report["figures"]["binary"]
        self.unit = report["unit_name"]

    def reward(self, value):
        """A reward: a share of queries in percent, or a number."""
        return f"{value:.1%}".replace("%", " %") if self.binary else f"{value:.3g}"

    def gain(self, policy):
        """A difference of rewards with its interval."""
        gain, low, high = self.gain_ends(policy)
        points = " points" if self.binary else ""
        return f"{gain}{points}, 95 % interval {low} to {high}"

    def gain_ends(self, policy):
        """A difference of rewards and the ends of its interval, each as a text."""
        ends = [zero(policy[name]) for name in ("gain", "gain_low", "gain_high")]
        if self.binary:
            return [_fixed_digits(100 * value, 1, "+") for value in ends]
        largest = max(map(abs, ends))
        digits = 1 - math.floor(math.log10(largest)) if largest else 0
        return [f"{value:+.{max(0, digits)}f}" for value in ends]

    def saving(self, policy):
        """A share saved with its interval."""
        saved, low, high = self.saving_ends(policy)
        return f"{saved} % (95 % interval {low} to {high} %)"

    def saving_ends(self, policy):
        """A share saved and the ends of its interval, each as a text."""
        ends = (policy[name] for name in ("saved", "saved_low", "saved_high"))
        return [_fixed_digits(100 * zero(value), 0) for value in ends]

    def spend(self, value):
        """A mean spend per query."""
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"

    def spend_with_unit(self, value):
        """A mean spend per query with its unit."""
        spend = self.spend(value)
        return (
            f"{spend} {_ONE.get(self.unit, self.unit) if spend == '1' else self.unit}"
        )


def _fixed_digits(value, digits, sign="-"):
    """A number with so many digits, or one more where it would read as 0."""
    if value and abs(value) < 0.5 * 10.0**-digits:
        digits += 1
    text = f"{value:{sign}.{digits}f}"
    return text if float(text) else text.replace("-", "+" if sign == "+" else "")


def policy_sentence(name, row, report, other="equal budgets"):
    """What one policy gains at the same spend, and saves.

    Parameters
    ----------
    name : str
        Of the policy.
    row : dict
        Figures at one budget.
    report : dict
        The report that they are from.
    other : str, default="equal budgets"
        What it is compared with.

    Returns
    -------
    sentence : str
    """
    numbers, policy = Numbers(report), row["policies"][name]
    start = _WORDS[name]
    if name == IN_ROUNDS:
        start += f", {_KNOWING[report['selection']]},"
    start += f" {numbers.spend_with_unit(policy['spend'])} per query"
    if policy["spend"] > row["budget"] * _MUCH_MORE:
        start += f" (more than the budget of {numbers.spend(row['budget'])})"
    if gains(policy):
        told = (
            f"{start} give {numbers.reward(policy['reward'])}, and {other} of the same "
            f"cost {numbers.reward(policy['equal_at_spend'])} ({numbers.gain(policy)})."
        )
        if saves(policy):
            spend = row["equal"].get("spend", row["budget"])
            told += (
                f" What {other} would give at {numbers.spend_with_unit(spend)}, it "
                f"gives at {numbers.spend(policy['saved_spend'])}: it saves "
                f"{numbers.saving(policy)}."
            )
        return told
    if loses(policy):
        return (
            f"{start} give less than {other} of the same cost: "
            f"{numbers.reward(policy['reward'])} against "
            f"{numbers.reward(policy['equal_at_spend'])} ({numbers.gain(policy)})."
        )
    return (
        f"{start} do as well as {other} of the same cost, as far as this table can "
        f"tell ({numbers.gain(policy)})."
    )


def without_policy(equal):
    """Which decoders answer without a policy, in words.

    Examples
    --------
    >>> from sklearn_adaalloc.command_line.report.sentences import without_policy
    >>> without_policy({"decoders": ["small", "large"]})
    'small or large at random'
    """
    names = equal["decoders"]
    if names == [ONE_PLAN] or not names:
        return names[0] if names else "no answer at all"
    return " or ".join(names) + (" at random" if len(names) > 1 else " alone")


def _up_to(n_samples):
    return f"up to {n_samples} graded answer{'s' if n_samples > 1 else ''}"


def _findings(report, row):
    figures, numbers = report["figures"], Numbers(report)
    what = "is right in" if figures["binary"] else "has a mean reward of"
    found = [
        f"{figures['queries']:,} queries, {_up_to(figures['samples'])} "
        f"each. One answer {what} {numbers.reward(figures['one_answer'])}"
        f"{' of all cases' if figures['binary'] else ''}."
    ]
    if figures["solvable"] is not None and report["selection"] == "reward":
        found.append(
            f"{numbers.reward(figures['solvable'])} of the queries have a right answer "
            "among those in the table. No budget gets beyond that here."
        )
    equal = row["equal"]
    found.append(
        f"Equal budgets of {numbers.spend_with_unit(row['budget'])} per query reach "
        f"{numbers.reward(equal['reward'])} (95 % interval "
        f"{numbers.reward(equal['low'])} to {numbers.reward(equal['high'])})."
    )
    found += [policy_sentence(name, row, report) for name in row["policies"]]
    if row["stopped"] is not None:
        found.append(
            "Stopping alone: the same limit for all queries, each stopped at its first "
            f"right answer, gives {_verdict(row['stopped'], 'The stream', numbers)}"
        )
    bound = f"{numbers.reward(row['oracle_up_front'])} up front"
    if row["oracle_with_verdicts"] is not None:
        bound += f", and {numbers.reward(row['oracle_with_verdicts'])} with verdicts"
    found.append(
        "Headroom: who knew in advance how each query's answers are graded would "
        f"reach {bound}, at {numbers.spend_with_unit(row['budget'])} per query. Nobody "
        "does."
    )
    return found


def _verdict(without, policy, numbers):
    """What verdicts give without a policy, and whether the policy gives more."""
    given = (
        f"{numbers.reward(without['reward'])} for "
        f"{numbers.spend_with_unit(without['spend'])} per query. {policy} "
    )
    if gains(without):
        return f"{given}gives more ({numbers.gain(without)})."
    if loses(without):
        return f"{given}gives less ({numbers.gain(without)})."
    return (
        f"{given}does as well, as far as this table can tell ({numbers.gain(without)})."
    )


def _advice(report, row):
    advice, policies = [], row["policies"]
    later = max((IN_ROUNDS, STREAM), key=lambda name: policies[name]["gain_low"])
    verdicts = {
        "reward": "If answers can be graded while decoding goes on, and not only "
        "afterwards,",
        "score": "If answers are scored while decoding goes on,",
        "vote": "If answers can be counted while decoding goes on,",
    }[report["selection"]]
    if gains(policies[later]):
        advice.append(
            f"{verdicts} use SequentialAllocator for batches of queries, or "
            "StreamAllocator where they arrive one after another: `adaalloc fit "
            "--policy sequential` or `--policy stream`."
        )
        if row["stopped"] is not None and not gains(row["stopped"]):
            advice.append(
                "Stopping at the first right answer, with one limit for all queries, "
                "does as well here and needs no policy, where each query can wait for "
                "one answer after another."
            )
    if gains(policies[UP_FRONT]):
        advice.append(
            "If all samples are drawn at once, use AdaptiveAllocator: `adaalloc fit "
            "--policy adaptive`."
        )
    elif loses(policies[UP_FRONT]):
        advice.append(
            "Do not decide up front by these features: equal budgets are better."
        )
    if not gains(policies[UP_FRONT]):
        advice.append(_about_features(report))
    if not any(map(gains, policies.values())):
        advice.insert(0, "Keep equal budgets: no policy was surely better here.")
    return advice + _about_the_table(report)


def _about_features(report):
    if report["features"] == "none":
        return (
            "Without features, all queries look alike before their first answer. Give "
            "their texts or --features, so that budgets can be decided up front."
        )
    return (
        f"The features ({report['features']}) did not tell hard queries from easy ones "
        "well enough to gain up front. Try --features minilm, or hidden:MODEL with the "
        "model that answers."
    )


def _about_the_table(report):
    figures, told = report["figures"], []
    if figures["queries"] < _FEW_QUERIES:
        told.append(
            f"Grade more queries: with {figures['queries']:,}, intervals are wide and "
            "there is little to learn from."
        )
    if report["has_answers"] and "decoders" in figures:
        told.append(
            "These figures take the best answer, so something has to grade answers "
            "when the system is used. Votes are not measured here: they are taken "
            "among the answers of one decoder. Give a file of its answers alone, with "
            "--selection vote."
        )
    elif report["has_answers"] and report["selection"] == "reward":
        told.append(
            "These figures take the best answer, so something has to grade answers "
            "when the system is used. If nothing can, see --selection vote: the table "
            "has labels to vote on."
        )
    return told


def _menu_findings(report, row):
    figures, numbers = report["figures"], Numbers(report)
    decoders, binary = figures["decoders"], figures["binary"]
    told = (
        f"{figures['queries']:,} queries, answered by {len(decoders)} decoders, "
        f"{_up_to(figures['samples'])} of each."
    )
    if binary:
        told += (
            f" {numbers.reward(figures['solvable'])} have a right answer among all of "
            "them."
        )
    found = [told]
    best = max(decoders, key=lambda decoder: decoder["one_answer"])
    found.append(
        f"One answer of {best['name']} is "
        f"{'right most often: in' if binary else 'the best: a mean reward of'} "
        f"{numbers.reward(best['one_answer'])}{' of all cases' if binary else ''}, for "
        f"{numbers.spend_with_unit(best['cost_of_an_answer'])}."
    )
    equal = row["equal"]
    told = (
        f"Without a policy, {without_policy(equal)} is the best at "
        f"{numbers.spend_with_unit(row['budget'])} per query: "
        f"{numbers.reward(equal['reward'])} (95 % interval "
        f"{numbers.reward(equal['low'])} to {numbers.reward(equal['high'])}). It is "
        "chosen by hindsight"
    )
    found.append(f"{told}{_how_without(figures, equal)}")
    found += [
        policy_sentence(name, row, report, other="the best without a policy")
        for name in row["policies"]
        if name != ONE_BY_ONE  # nearly as rounds; the table has it
    ]
    if row["cascade"] is not None:
        found.append(
            "The best fixed cascade of one or two decoders, chosen by hindsight, gives "
            f"{_verdict(row['cascade'], 'The policy that decides one by one', numbers)}"
        )
    found.append(_menu_headroom(row, numbers))
    rounds = row["policies"][IN_ROUNDS]
    if sum(rounds["answers"].values()) > 0:
        asked = sorted(rounds["answers"], key=rounds["answers"].get, reverse=True)[:3]
        shares = ", ".join(f"{name} {rounds['answers'][name]:.2f}" for name in asked)
        found.append(f"Who answers, in rounds: answers per query of {shares}.")
    return found + _left_out(figures, row)


def _how_without(figures, equal):
    """How an answer comes about without a policy."""
    if figures["binary"]:
        return ", and a query stops at its first right answer."
    told = f". A query without an answer counts as {figures['empty_reward']:g}."
    if ONE_PLAN in equal["decoders"]:
        first = ", ".join(figures["plan"][:4])
        told += (
            f" The plan asks {first}{', ...' if len(figures['plan']) > 4 else ''} as "
            "far as the budget goes, each next one because it gains most per cost, and "
            "takes the best answer."
        )
    return told


def _menu_headroom(row, numbers):
    at = f"at {numbers.spend_with_unit(row['budget'])} per query"
    if row["oracle_with_verdicts"] is not None:
        return (
            "Headroom: who knew in advance which decoder is right how often on each "
            f"query would reach {numbers.reward(row['oracle_with_verdicts'])} {at}. "
            "Nobody does."
        )
    return (
        "Headroom: who knew in advance which decoder is the best on each query would "
        f"reach {numbers.reward(row['oracle_one_answer'])} {at} with one answer to "
        "each. Nobody does."
    )


def _left_out(figures, row):
    """What was not measured, because it takes too long."""
    told, n_decoders = [], len(figures["planned_with"])
    if n_decoders < len(figures["decoders"]):
        told.append(
            f"Policies choose among {n_decoders} decoders here: "
            f"{', '.join(figures['planned_with'])}. To plan with more takes too long "
            "where rewards are not 0 or 1."
        )
    if STREAM not in row["policies"]:
        told.append(
            f"No stream was played: to find its price takes too long for {n_decoders} "
            f"decoders and {figures['queries']:,} queries."
        )
    return told


def _menu_advice(report, row):
    advice, policies = [], row["policies"]
    later = {name: policies[name] for name in policies if name != UP_FRONT}
    if any(map(gains, later.values())):
        told = (
            "If answers can be graded while decoding goes on, let SequentialAllocator "
            "ask all decoders in rounds: `adaalloc fit --policy sequential`"
        )
        if STREAM in later:
            told += (
                ", or StreamAllocator where queries arrive one after another: "
                "`--policy stream`"
            )
        advice.append(f"{told}. decoding.Cascade carries it out.")
        if row["cascade"] is not None and not gains(row["cascade"]):
            advice.append(
                "A fixed cascade of one or two decoders does as well here and needs no "
                "policy: see metrics.best_fixed_cascades."
            )
    if gains(policies[UP_FRONT]):
        advice.append(
            "If all answers are drawn at once and graded afterwards, AdaptiveAllocator "
            "is better than no policy, too."
        )
    if not any(map(gains, policies.values())):
        advice.append(
            f"Do without a policy, with {without_policy(row['equal'])}: none was "
            "surely better here."
        )
    if not report["has_costs"]:
        advice.append(
            "The table has no costs, so an answer of each decoder counts as 1. Give "
            "--cost if some are dearer than others."
        )
    return advice + _about_the_table(report)
