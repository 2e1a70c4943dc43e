"""F1 against the share of the training labels: which model loses how much with them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from bench.analysis import stats
from bench.analysis.stats import Summary
from bench.analysis.systems import System, encoders_beside
from bench.label_share import LabelShare, Rule, shown_percent
from bench.runs.names import model_name
from bench.runs.settings import parts_of

_BETWEEN_CHANGES = re.compile(r",(?=[A-Za-z_][\w.@%:+-]*=)")


@dataclass(frozen=True)
class SharePoint:
    """The F1 (percent) of each finished seed of a system that was trained on a share of the labels."""

    share: LabelShare
    system: System
    values: tuple[float, ...]

    @cached_property
    def summary(self) -> Summary:
        """Mean, sample standard deviation and number of seeds."""
        return stats.summarize(self.values)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean over seeds; None of one seed."""
        return stats.mean_interval(self.summary)

    @property
    def changes(self) -> tuple[str, ...]:
        """What was changed of the model at this share alone: `prior_multiple=10`."""
        return _changes(self.system)[1]


@dataclass(frozen=True)
class ShareLine:
    """One model at several shares, from the smallest."""

    name: str
    points: tuple[SharePoint, ...]


@dataclass(frozen=True)
class ShareCurves:
    """The models of one data set and encoder, on shares of the labels by one rule and seed.

    base: the setting that they have shares of, `ext` or `ext+distant`.   split: that F1 is of; dev where test has no
    labels.
    """

    dataset: str
    encoder: str
    base: str
    rule: Rule
    seed: int
    split: str
    lines: tuple[ShareLine, ...]

    @property
    def name(self) -> str:
        """What its figure and table are called among files and in the page."""
        return f"label-shares-{self.dataset}-{self.encoder}-{self.base}-{self.rule}-{self.seed}"

    @property
    def heading(self) -> str:
        """`redocred, roberta-large, ext, per-type`: with a seed of the draws where that is not 0."""
        seed = f", seed {self.seed} of the draws" if self.seed else ""
        return f"{self.dataset}, {self.encoder}, {self.base}, {self.rule}{seed}"

    @property
    def shares(self) -> list[LabelShare]:
        """Every share that a line has a point at, from the smallest; of all labels, whichever rule is named first."""
        by_percent = {point.share.percent: point.share for line in self.lines for point in line.points}
        return [by_percent[percent] for percent in sorted(by_percent)]


def share_curves(systems: Sequence[System]) -> list[ShareCurves]:
    """The curves of all systems on shares of labels, by data set, encoder, rule and seed; each has two shares or more.

    All labels are the same by any rule and seed: a system that was trained on them ends the lines of every rule.
    """
    groups: dict[tuple[str, str, str], dict[LabelShare, list[System]]] = defaultdict(lambda: defaultdict(list))
    thinned = [system for system in systems if parts_of(system.plan.setting).share and system.cell.records]
    # On whichever share: there may be more of a model that is done in no time than of those that are trained.
    beside = encoders_beside(thinned, lambda system: parts_of(system.plan.setting).base)
    for system in thinned:
        plan, of_setting = system.plan, parts_of(system.plan.setting)
        assert of_setting.share is not None
        for encoder in beside[plan.dataset, of_setting.base] if system.is_without_encoder else (plan.encoder,):
            groups[plan.dataset, encoder, of_setting.base][of_setting.share].append(system)
    curves = []
    for (dataset, encoder, base), by_share in groups.items():
        for rule, seed in dict.fromkeys((share.rule, share.seed) for share in by_share if share.percent < 100):
            found = _of_rule(by_share, rule, seed)
            some = [system for of_share in found.values() for system in of_share]
            split = "test" if any(system.values("test", "f1") for system in some) else "dev"
            lines = tuple(_lines(found, split))
            if len({point.share.percent for line in lines for point in line.points}) > 1:
                curves.append(ShareCurves(dataset, encoder, base, rule, seed, split, lines))
    return curves


def _of_rule(by_share: Mapping[LabelShare, list[System]], rule: Rule, seed: int) -> dict[LabelShare, list[System]]:
    """The systems at each share by a rule and seed; and on all labels, where the rule has none, those by any other."""
    own = {share: [*found] for share, found in by_share.items() if (share.rule, share.seed) == (rule, seed)}
    for full in (share for share in by_share if share.percent == 100 and (share.rule, share.seed) != (rule, seed)):
        of_all = own.setdefault(replace(full, rule=rule, seed=seed), [])
        names = {_name_by_share(system) for system in of_all}
        of_all += [system for system in by_share[full] if _name_by_share(system) not in names]
    return own


def _lines(by_share: Mapping[LabelShare, Sequence[System]], split: str) -> Iterator[ShareLine]:
    """A line for each model, whatever was changed of it at single shares.

    Where a share has it with such changes and without, there is a line for each. Of systems that have one name even
    then nobody can say which line they are on: each is apart.
    """
    scored = {share: [s for s in found if s.values(split, "f1")] for share, found in by_share.items()}
    twice = {name for found in scored.values() for name, count in Counter(map(_name, found)).items() if count > 1}
    points: dict[str, list[SharePoint]] = defaultdict(list)
    for share in sorted(scored, key=lambda share: share.percent):
        named = [_name_by_share(s) if _name(s) in twice else _name(s) for s in scored[share]]
        for name, system in zip(named, scored[share], strict=True):
            line = name if named.count(name) == 1 else f"{system.name} at {shown_percent(share.percent)}"
            points[line].append(SharePoint(share, system, tuple(system.values(split, "f1"))))
    yield from (ShareLine(name, tuple(of_line)) for name, of_line in points.items())


def _name(system: System) -> str:
    """The model with what was changed of it at all shares."""
    return model_name(system.plan.model, ",".join(_changes(system)[0]))


def _name_by_share(system: System) -> str:
    """The same with what is changed at this share alone, but not to what: `ssrpu (prior_multiple by share)`."""
    everywhere, here = _changes(system)
    by_share = [f"{change.partition('=')[0]} by share" for change in here]
    return model_name(system.plan.model, ",".join([*everywhere, *by_share]))


def _changes(system: System) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What was changed of the model at all shares, and at this one alone: (`margin=1`,), (`prior_multiple=10`,)."""
    parts, limit = _BETWEEN_CHANGES.split(system.plan.variant), f"{system.plan.setting}."
    return (
        tuple(part for part in parts if part and not part.startswith(limit)),
        tuple(part.removeprefix(limit) for part in parts if part.startswith(limit)),
    )
