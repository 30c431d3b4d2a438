"""What a use case declares. Everything else is derived from it: DAGs, tables, the network, Triton's configuration, the gateway's schema."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from roundtrip.contracts.errors import BadDeclaration, UnknownFeed


@dataclass(frozen=True, kw_only=True)
class Feed:
    """Files that land together for a partition, and the tables built from them, stage by stage.

    A producer writes `<storage root>/landing/<use case>/<feed>/<partition>/<source>.<format>` for every source, then the
    marker `_READY` beside them. The DAG `<use case>.<dag>` does the rest.
    """

    name: str
    dag: str
    """Last part of the DAG's id: `ingest` or `ingest_outcomes`."""
    sources: tuple[str, ...]
    """File names without ending; each lands in the raw table of the same name (`flights` → table `raw_flights`)."""
    stages: tuple[tuple[str, ...], ...]
    """Tables to build for a partition, in order: those of one stage don't depend on each other."""
    emits: str
    """Last part of the asset that says 'this partition is ready': `<use case>/<emits>`."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """One input of the model: a column of the features table, a tensor column on Triton, a field of the gateway's request."""

    name: str
    kind: Literal["number", "category"]
    unit: str
    """Unit of a number; what the values are, for a category."""
    meaning: str
    minimum: float | None = None
    maximum: float | None = None
    """Range of a number outside of which the network clamps and the gateway refuses."""
    optional: bool = True
    """Whether a request may leave it out (NULL in the table)."""
    drifts_by_nature: bool = False
    """Season and calendar: such an input must drift, and no alarm is raised for it."""
    source: str = ""
    """The landed source it is made from, which an alarm about its data names; empty: not said."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """One output of the model."""

    name: str
    unit: str
    quantile: float
    """0.5 for the median, 0.1 and 0.9 for the ends of the interval."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What the model must beat: a column plus the median of (label − column) on the training rows."""

    column: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Slice:
    """An input whose values part the rows into slices, each of which is judged on its own too; rows that lack it are one more.

    UseCase raises BadDeclaration for one that fits none of its inputs.
    """

    input: str
    """Name of the input: a category has a slice for each of its values, a number one for each band."""
    bands: tuple[float, ...] = ()
    """Where a number's bands part, rising, in its unit: n of them make n + 1 bands, the outer ones open. A value on one belongs above."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the network is built and trained. Raises BadDeclaration for a value that nothing can be trained with."""

    hidden: tuple[int, ...] = (256, 128)
    """Widths of the hidden layers."""
    networks: int = 1
    """Networks trained one after the other, each from first weights of its own; the mean of their answers is the model's."""
    embedding_width: int = 8
    """Largest width of a category's embedding; a small vocabulary gets a smaller one."""
    number_bins: int = 8
    """Pieces of a number's piecewise linear encoding. More of them fit the training span better and the months after it no better."""
    input_dropout: float = 0.1
    """Probability with which an input of a training row is hidden, so that missing and unknown values are learned too."""
    epochs: int = 6
    """Passes over the training rows."""
    batch_size: int = 1024
    """Rows of one step over all ranks together."""
    learning_rate: float = 2e-3
    """Peak of the schedule, for AdamW."""
    weight_decay: float = 1e-4
    """Of AdamW, decoupled from the gradient."""
    largest_gradient: float = 1.0
    """Norm to which a step's gradient is clipped: a day of cancelled connections is not to throw the weights about."""
    seed: int = 1
    """Of the initial weights and the order of rows: the same seed on the same snapshot gives the same weights."""
    ranks: int = 2
    """Processes that torchrun starts."""
    strategy: str = "data_parallel"
    """How the training is spread over the ranks: a name of roundtrip/training/strategies.py."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the products of matrices. Weights, their updates, and what is done to inputs and outputs stay in fp32 (torch.autocast)."""
    rank_timeout_s: float = 300.0
    """Seconds that a rank may keep the others waiting before it counts as hung, and the training fails. The longest wait is for rank 0 to
    read the snapshot: seconds for a year of rows."""

    def __post_init__(self) -> None:
        counts = {name: getattr(self, name) for name in ("networks", "embedding_width", "number_bins", "epochs", "batch_size", "ranks")}
        counts |= {f"hidden layer {place}": width for place, width in enumerate(self.hidden, 1)}
        for name, count in counts.items():
            if not isinstance(count, int) or count < 1:
                raise BadDeclaration(f"recipe: {name} is {count!r} (a whole number, 1 at least).")
        if not self.hidden:
            raise BadDeclaration("recipe: hidden is empty (one layer at least).")
        if not 0 <= self.input_dropout < 1:
            raise BadDeclaration(f"recipe: input_dropout is {self.input_dropout} (0 at least, less than 1): it is a probability.")
        if not (self.learning_rate > 0 and self.weight_decay >= 0 and self.largest_gradient > 0 and self.rank_timeout_s > 0):
            raise BadDeclaration(
                f"recipe: learning_rate is {self.learning_rate} (more than 0), weight_decay {self.weight_decay} (0 at least), "
                f"largest_gradient {self.largest_gradient} (more than 0), rank_timeout_s {self.rank_timeout_s} (more than 0)."
            )


TUNABLE = (
    "hidden", "networks", "embedding_width", "number_bins", "input_dropout", "epochs", "batch_size", "learning_rate", "weight_decay",
)  # fmt: skip
"""Fields of a recipe that tuning may vary: those that decide on what is learned, not on where and how fast."""


@dataclass(frozen=True, kw_only=True)
class Between:
    """A number of the recipe that tuning varies in a range, both ends included. UseCase raises BadDeclaration for one that can't be."""

    field: str
    """Name of the recipe's field, one of TUNABLE."""
    low: float
    """Least value, in the field's unit; a whole number where the field is one."""
    high: float
    """Greatest value."""
    log: bool = False
    """Whether it is the logarithm that is spread evenly: for what counts in factors, such as a learning rate."""


@dataclass(frozen=True, kw_only=True)
class OneOf:
    """A field of the recipe that tuning varies among named values. UseCase raises BadDeclaration for one that can't be."""

    field: str
    """Name of the recipe's field, one of TUNABLE."""
    choices: tuple[int | float | tuple[int, ...], ...]
    """Values, in the field's unit."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a candidate must show on the held-out span before it may be registered (roundtrip/evaluation/judge.py).

    Raises BadDeclaration for limits that would let a candidate pass that is worse than the baseline.
    """

    held_out_days: int = 14
    """Days at the end of the snapshot that no model trains on."""
    minimum_rows: int = 1000
    """Held-out rows below which nothing is judged."""
    minimum_skill: float = 0.05
    """Skill (1 − MAE/MAE of the baseline) that the lower end of the 95 % interval must reach; not negative, so that it excludes zero."""
    champion_margin: float = 0.02
    """How much larger than the champion's, as a fraction, the candidate's MAE may be on all held-out rows."""
    slice_margin: float = 0.05
    """The same on a slice, by the lower end of the 95 % interval: of some forty small slices one always looks worse by chance."""
    minimum_slice_rows: int = 200
    """Held-out rows below which a slice is counted and not judged."""
    minimum_slice_days: int = 7
    """Days over which a slice's rows must lie to be judged: the interval resamples days, and of fewer it comes out too narrow."""
    coverage_tolerance: float = 0.15
    """How far the share of outcomes inside the predicted interval may be from the nominal one (0.8). Wide: flight_eta's candidates cover
    0.75 to 0.81 of their held-out rows, and one that learned from winter 0.72 of April's, where its median still beats the baseline."""

    def __post_init__(self) -> None:
        if self.minimum_skill < 0:
            raise BadDeclaration(f"minimum_skill is {self.minimum_skill} (0 at least): a candidate must be better than the baseline.")
        if not 0 <= self.champion_margin <= self.slice_margin:
            raise BadDeclaration(
                f"champion_margin is {self.champion_margin} (0 at least), slice_margin {self.slice_margin} (champion_margin at least): "
                "a slice is judged less strictly than the whole."
            )

    def judges_slice(self, *, rows: int, days: int) -> bool:
        """Whether a slice of so many rows, on so many days, is large enough to be judged."""
        return rows >= self.minimum_slice_rows and days >= self.minimum_slice_days


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """What a candidate must stand of the real traffic before it is live (roundtrip/serving/rollout.py), where a version is live already.

    Raises BadDeclaration for a plan that can't be carried out. A use case that is scored in batches only, and has no traffic, says
    `Rollout(shadow_requests=0, canary_shares=())`: with too few requests a candidate is paused, never promoted.
    """

    shadow_requests: int = 200
    """Requests whose copies the candidate must have seen before it is judged by them; 0: no shadow."""
    canary_shares: tuple[int, ...] = (5, 25, 50)
    """Percent of the requests that the candidate answers, one share after the other; empty: no canary."""
    canary_requests: int = 100
    """Requests that the candidate must have answered at each share."""
    patience_minutes: float = 15.0
    """How long each of these may take: with fewer requests by then the candidate is paused."""
    largest_error_share: float = 0.01
    """Share of requests for which the candidate gives no usable answer (callers then get the live version's)."""
    largest_slowdown: float = 0.25
    """How much longer than the live version's, as a fraction, the candidate's engine may take: the median, and the slowest hundredth."""
    largest_shift: float = 0.25
    """How much farther from the live version's its predictions may lie on average than they do on the held-out rows, beyond what that
    difference varies from row to row, in standard deviations of the live version's."""
    smallest_spread: float = 0.5
    """Least standard deviation of its predictions, as a fraction of the live version's on the same rows: a model that is stuck has none."""

    def __post_init__(self) -> None:
        if not all(0 < share < 100 for share in self.canary_shares) or list(self.canary_shares) != sorted(set(self.canary_shares)):
            raise BadDeclaration(f"canary_shares are {self.canary_shares}: percents between 0 and 100, rising.")
        if self.shadow_requests < 0 or self.canary_requests < 20 or self.patience_minutes <= 0:
            raise BadDeclaration(
                f"shadow_requests is {self.shadow_requests} (0 at least), canary_requests {self.canary_requests} (20 at least: fewer show "
                f"nothing), patience_minutes {self.patience_minutes} (more than 0)."
            )


@dataclass(frozen=True, kw_only=True)
class RetrainPolicy:
    """When the governor asks for a retrain. Raises BadDeclaration for a number that means nothing."""

    refit_gain: float = 0.015
    """Share of the live model's MAE that a refit must save on the partition's later half; its 95 % interval must exclude zero as well.
    In flight_eta's year four months reach it (1.8 to 4.3 %), the others do not (up to 1.2 %)."""
    persistence_partitions: int = 1
    """Partitions in a row, the measured one included, that must show it before a retrain is asked for. 1: the first one counts, since a
    partition of flight_eta is a month, and waiting for a second one costs as much as the refit gains."""
    skill_loss: float = 0.03
    """Skill lost since the release, for certain, from which a partition is watched. It asks for no retrain: a season that is harder for the
    model than for the baseline loses skill too, and a refit gives none of it back."""
    minimum_outcomes: int = 2000
    """Rows with an outcome below which the answer is: wait."""
    refit_rows: int = 300_000
    """The most recent labelled rows that the challenger refit learns from at most: seconds, and memory, don't grow with the table."""
    cooldown_partitions: int = 1
    """Partitions that must pass after a release before the next retrain is asked for."""
    budget_per_year: int = 4
    """Retrains at most in twelve partitions."""

    def __post_init__(self) -> None:
        if self.refit_gain < 0 or self.persistence_partitions < 1 or self.cooldown_partitions < 0 or self.budget_per_year < 0:
            raise BadDeclaration(
                f"retrain: refit_gain is {self.refit_gain}, cooldown_partitions {self.cooldown_partitions}, budget_per_year "
                f"{self.budget_per_year} (0 at least), persistence_partitions {self.persistence_partitions} (1 at least)."
            )


@dataclass(frozen=True, kw_only=True)
class UseCase:
    """One use case. Its folder is use_cases/<name>/, its SQL sql/<name>/."""

    name: str
    title: str
    owner: str
    description: str
    feeds: tuple[Feed, ...]
    features_table: str
    outcomes_table: str
    predictions_table: str
    key: tuple[str, ...]
    """Columns that name a row in features, predictions and outcomes alike."""
    label: str
    """Column of the outcomes table that is predicted."""
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    baseline: Baseline
    slices: tuple[Slice, ...]
    """Parts of the rows on which the candidate is judged beside the whole."""
    prediction_time: str
    """Timestamp column (UTC) of the features table: when the prediction was due. Orders rows, splits train from held-out."""
    recipe: Recipe = Recipe()
    search: tuple[Between | OneOf, ...] = ()
    """What tuning may vary of the recipe, which lies within: tuning tries it first, so it never ends with a worse one."""
    gate: Gate = Gate()
    rollout: Rollout = Rollout()
    retrain: RetrainPolicy = RetrainPolicy()
    outcomes_come_late: bool = False
    """Whether a partition is looked at before its outcomes too: watch_drift then runs on the predictions alone, when performance is unknown
    and what moved is all there is to see, and once more when the outcomes come. Otherwise it waits for both."""
    row_limit: float = 0.05
    """Fraction of a landed file's rows that may break the row contract before the partition stops."""
    replayed: bool = False
    """Whether a past is replayed: then no table is late by the calendar, only behind the newest month that another one holds."""
    intended_use: str = ""
    """What the predictions are for and who acts on them, in sentences: a section of the model card."""
    limits: tuple[str, ...] = ()
    """What the predictions must not be used for, and what the model can't know, a sentence each: a section of the model card."""

    def __post_init__(self) -> None:
        """Raises BadDeclaration when a slice fits none of the inputs, or the recipe can't be varied as `search` says."""
        sliced = [entry.input for entry in self.slices]
        for entry in self.slices:
            kind = next((known.kind for known in self.inputs if known.name == entry.input), None)
            if fault := _fault_of_slice(entry, kind, sliced.count(entry.input)):
                raise BadDeclaration(f"use case {self.name}, slice {entry.input!r}: {fault}.")
        searched = [entry.field for entry in self.search]
        for varied in self.search:
            if fault := _fault_of_search(varied, self.recipe, searched.count(varied.field)):
                raise BadDeclaration(f"use case {self.name}, search of {varied.field!r}: {fault}.")

    def with_recipe(self, recipe: Recipe) -> UseCase:
        """The same with another recipe, around which nothing is searched: the declared space holds the declared recipe."""
        return replace(self, recipe=recipe, search=())

    @property
    def nominal_coverage(self) -> float:
        """Share of outcomes that the outputs' interval is meant to hold: from the lowest quantile to the highest."""
        quantiles = [output.quantile for output in self.outputs]
        return max(quantiles) - min(quantiles)

    @property
    def numbers(self) -> tuple[Input, ...]:
        return tuple(entry for entry in self.inputs if entry.kind == "number")

    @property
    def categories(self) -> tuple[Input, ...]:
        return tuple(entry for entry in self.inputs if entry.kind == "category")

    def feed(self, name: str) -> Feed:
        """The feed of that name; raises UnknownFeed, listing those that are declared."""
        for feed in self.feeds:
            if feed.name == name:
                return feed
        known = ", ".join(feed.name for feed in self.feeds)
        raise UnknownFeed(f"use case {self.name} has no feed {name!r} (declared: {known}): ask for one of these.")


def _fault_of_slice(entry: Slice, kind: str | None, times: int) -> str:
    """Empty when there is none. `kind` of the input it names, None when there is no such input; `times` that input is sliced."""
    if kind is None:
        return "no input has that name: name one of the inputs"
    if times > 1:
        return f"declared {times} times: declare it once"
    if kind == "category" and entry.bands:
        return f"it has bands {entry.bands}, and a category is sliced by its values: leave them out"
    if kind == "number" and not entry.bands:
        return "it has no bands, and a number is sliced in bands: say where they part"
    if any(low >= high for low, high in pairwise(entry.bands)):
        return f"its bands {entry.bands} don't rise: put them in order, each once"
    return ""


def _fault_of_search(entry: Between | OneOf, recipe: Recipe, times: int) -> str:
    """Empty when there is none. `times` that field is searched."""
    if entry.field not in TUNABLE:
        return f"tuning can't vary such a field: name one of {', '.join(TUNABLE)}"
    if times > 1:
        return f"declared {times} times: declare it once"
    declared = getattr(recipe, entry.field)
    fault = _fault_of_range(entry, declared) if isinstance(entry, Between) else _fault_of_choices(entry, declared)
    if fault:
        return fault
    for value in (entry.low, entry.high) if isinstance(entry, Between) else entry.choices:
        try:
            replace(recipe, **{entry.field: value})  # type: ignore[arg-type]
        except BadDeclaration as refusal:
            return f"the recipe refuses {value!r} ({refusal})"
    return ""


def _fault_of_range(entry: Between, declared: object) -> str:
    if not isinstance(declared, int | float):
        return "it is no number: use OneOf, and name its choices"
    if entry.low >= entry.high:
        return f"low {entry.low} is not below high {entry.high}: put them in order"
    if entry.log and entry.low <= 0:
        return f"low is {entry.low}, whose logarithm is no number: more than 0 with log"
    if isinstance(declared, int) and not (isinstance(entry.low, int) and isinstance(entry.high, int)):
        return f"it is a whole number, and {entry.low} to {entry.high} are not: write both without a point"
    if not entry.low <= declared <= entry.high:
        return f"the declared recipe's {declared} is not within {entry.low} to {entry.high}: widen it, for tuning tries that first"
    return ""


def _fault_of_choices(entry: OneOf, declared: object) -> str:
    if len(set(entry.choices)) < max(2, len(entry.choices)):
        return f"the choices {entry.choices} are not two different ones at least: name each once"
    if any(isinstance(choice, tuple) != isinstance(declared, tuple) for choice in entry.choices):
        return f"a choice of {entry.choices} is not of the kind of the declared recipe's {declared}"
    if declared not in entry.choices:
        return f"the declared recipe's {declared} is none of the choices {entry.choices}: add it, for tuning tries that first"
    return ""
