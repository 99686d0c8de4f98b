"""Every route of the API: what it answers, and the parameters that it knows. The documentation is made from this."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ecom_analytics.answers import (
    about,
    attribution,
    breakdowns,
    carts,
    customers,
    details,
    figures,
    funnel,
    lists,
    quality,
)
from ecom_analytics.answers.asking import Answer, Ask, Column, Marts
from ecom_analytics.answers.filters import DIMENSIONS, FILTERS, UntoldError
from ecom_analytics.answers.parameters import NotThereError, Parameter
from ecom_analytics.answers.ranges import COMPARISON, GRAIN, RANGE

_PART = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True)
class Route:
    """One route.

    Attributes
    ----------
    path : str
        Below the API's root, such as ``products/{product_id}``.
    answer : callable
    summary : str
        One sentence.
    parameters : tuple of Parameter
    columns : tuple of Column
        What its rows hold at least; empty if that depends on the question.
    choices : mapping
        Part of the path → the values that it can have, where they are few.
    """

    path: str
    answer: Callable[[Ask], Answer]
    summary: str
    parameters: tuple[Parameter, ...] = ()
    columns: tuple[Column, ...] = ()
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def put(self, asked: Ask) -> Answer:
        """Its answer; no rows and the reason, where what it is of cannot be told apart as the filters want."""
        try:
            return self.answer(asked)
        except UntoldError as error:
            reason = f"this cannot be told by {DIMENSIONS.get(error.dimension, error.dimension).lower()}"
            return Answer([], self.columns, facts={"reason": reason})

    @property
    def parts(self) -> list[str]:
        """What the path leaves open."""
        return _PART.findall(self.path)


_FIGURES = (*RANGE, *COMPARISON, *FILTERS)
_METRIC = Parameter(
    "metric", "Name of a metric: the route metrics lists them.", "text", "transactions", pattern="[a-z][a-z0-9_]{0,63}",
    allowed="the name of a metric",
)  # fmt: skip
_SPLITS = tuple(name for name in DIMENSIONS if name != "segment")
_SPLIT = Parameter("split", "Dimension to tell apart by.", "choice", choices=(*_SPLITS, "customer_type"))
_OF_SOURCE = Parameter(
    "of_source", "Source of it, where several have the same id. Default: the one with the most of it."
)
_STEP = Parameter(
    "step", "A step, in order; two or more. Default: view, add_to_cart, purchase.", "choice",
    choices=("view", "add_to_cart", "checkout", "purchase"), many=True,
)  # fmt: skip
BREAKDOWNS = (*_SPLITS, "customer_type", "weekday_hour", "order_value", "orders_per_customer")


def _listed(listing: lists.Listing, limit: Parameter = lists.LIMIT) -> tuple[Parameter, ...]:
    return (limit, lists.sorting(listing.columns, listing.sort), lists.NEXT, lists.Q)


ROUTES: dict[str, Route] = {
    route.path: route
    for route in (
        Route("meta", about.meta, "The served build: how fresh, made of what, with which dimensions."),
        Route("capabilities", about.capabilities, "What each source can tell.", columns=about.CAPABILITIES),
        Route("metrics", about.metrics, "Every metric: its definition, unit and formula.", columns=about.METRICS),
        Route("notices", about.notices, "What a reader of the figures should know about the data.", RANGE,
              about.NOTICES),
        Route("kpis", figures.kpis, "Key figures of a range, their change and their course.", (*_FIGURES, GRAIN),
              figures.CARDS),
        Route("timeseries", figures.timeseries, "A metric by day, week or month.", (*_FIGURES, GRAIN, _METRIC, _SPLIT)),
        Route("breakdown/{dimension}", breakdowns.breakdown, "A metric by the values of a dimension.",
              (*_FIGURES, _METRIC, lists.LIMIT), choices={"dimension": BREAKDOWNS}),
        Route("products", lists.products, "Products with an event in the range.",
              (*_FIGURES, *_listed(lists.PRODUCTS)), lists.PRODUCTS.columns),
        Route("products/{product_id}", details.product, "A product, its days, and what is bought with it.",
              (*RANGE, _OF_SOURCE), details.PRODUCT_DAYS),
        Route("transactions", lists.transactions, "Transactions of the range.",
              (*_FIGURES, *_listed(lists.TRANSACTIONS)), lists.TRANSACTIONS.columns),
        Route("transactions/{transaction_id}", details.transaction,
              "A transaction and its lines, each with the file and line that it was read from.", (_OF_SOURCE,),
              details.LINES),
        Route("users", lists.users, "Users with a session in the range.", (*_FIGURES, *_listed(lists.USERS)),
              lists.USERS.columns),
        Route("users/{user_id}", details.user, "A user, and all that they did, the newest first.", (_OF_SOURCE,),
              details.TIMELINE),
        Route("conflicts", lists.conflicts, "Transaction ids that are used twice.",
              (*RANGE, *_listed(lists.CONFLICTS)), lists.CONFLICTS.columns),
        Route("funnel", funnel.funnel, "How many come from one step to the next.", (
            *_FIGURES, GRAIN, _STEP,
            Parameter("unit", "What is counted.", "choice", "session", ("session", "visitor")),
            Parameter("order", "Whether other events may lie between the steps, may not, or the steps between the "
                      "first and the last come in any order.", "choice", "sequential",
                      ("sequential", "strict", "flexible")),
            Parameter("window", "Longest time from the first step to a later one, in minutes. Default: none.", "whole",
                      least=1, most=525_600),
            Parameter("split", "Dimension to tell the steps apart by.", "choice",
                      choices=("source", "channel", "traffic_source", "medium", "campaign", "device", "country",
                               "weekday", "hour")),
            Parameter("trend", "Whether to answer with the steps of every day, week or month.", "flag", default=False),
        )),
        Route("carts", carts.carts, "Carts that were opened in the range, by what became of them.", _FIGURES,
              carts.CARTS),
        Route("cohorts", customers.cohorts, "Who came or bought again, by when they first did.", (
            *FILTERS,
            Parameter("kind", "Whether a cohort is of the first purchase or of the first visit.", "choice",
                      "first_purchase", ("first_purchase", "first_visit")),
            Parameter("cohort_grain", "How long a period is.", "choice", "week", ("day", "week", "month")),
            Parameter("measure", "What a cell tells.", "choice", "rate", tuple(customers.MEASURES)),
            Parameter("mode", "Active in that period, or in it or a later one.", "choice", "on", ("on", "on_or_after")),
            Parameter("limit", "Most cohorts, the newest ones.", "whole", 12, least=1, most=120),
        ), customers.COHORTS),
        Route("rfm", customers.rfm, "Customers by recency, frequency and value, in named segments.", FILTERS,
              customers.RFM),
        Route("affinity", lists.affinity, "Products that are bought together, over all dates.",
              (Parameter("product_id", "Only pairs of this product."), *_listed(lists.AFFINITY)),
              lists.AFFINITY.columns),
        Route("attribution", attribution.attribution, "Which channels transactions are credited to.",
              (*RANGE, *COMPARISON,
               Parameter("model", "How touches share a transaction.", "choice", attribution.MODELS[0],
                         attribution.MODELS)), attribution.ATTRIBUTED),
        Route("facets/{dimension}", about.facets, "The values of a dimension, the most frequent first.",
              (lists.Q, Parameter("limit", "Most values.", "whole", 50, least=1, most=1000)), about.FACETS,
              {"dimension": tuple(DIMENSIONS)}),
        Route("quality/checks", quality.checks, "Every check of the served build, and its results before.",
              (Parameter("status", "Only checks with this result.", "choice", choices=("pass", "warn")),),
              quality.CHECKS),
        Route("quality/rejected", quality.rejected, "Rejected records by rule, with some of each.",
              columns=quality.REJECTED),
        Route("quality/lineage", quality.lineage, "The models of the build, and what each is made of.",
              columns=quality.LINEAGE),
        Route("runs", quality.runs, "Runs of the pipeline before this build.", _listed(quality.RUNS),
              quality.RUNS.columns),
    )
}  # fmt: skip


def ask(
    marts: Marts, route: str, given: Mapping[str, Sequence[str]], path: Mapping[str, str] | None = None
) -> tuple[Ask, Answer]:
    """Put a question to a build.

    Parameters
    ----------
    marts : Marts
    route : str
        A key of :data:`ROUTES`.
    given : mapping
        Name of a parameter → its texts.
    path : mapping, optional
        What the path leaves open → its value.

    Raises
    ------
    BadParametersError
        A parameter is unknown, or has a bad value.
    NotThereError
        What the path names is not in the data.
    """
    known, named = ROUTES[route], dict(path or {})
    check_path(known, named)
    asked = Ask(marts, known.parameters, given, named)
    return asked, known.put(asked)


def check_path(route: Route, path: Mapping[str, str]) -> None:
    """Whether the path names what can be there.

    Raises
    ------
    NotThereError
    """
    for part, choices in route.choices.items():
        if path.get(part) not in choices:
            raise NotThereError(f"there is no such {part}", hint=f"it is one of {', '.join(choices)}")
