"""The rows: every way to make an ensemble of predictions."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import ParameterError, unknown
from ...row import Parameter
from .learner import FittedRule, Learner, Property
from .learners.chosen import chosen
from .learners.cma_es import cma_es
from .learners.greedy import greedy
from .learners.local import gate, per_class, per_group
from .learners.plain import best, geometric, mean, median, rank_mean
from .learners.simplex import nnls, simplex
from .learners.stacker import logistic, ridge
from .learners.universal import universal
from .metrics import CLASSES

_STRENGTH = Parameter("strength", "float", 1.0, above=0, help="of the L2 penalty")

_ANY_ORDER: frozenset[Property] = frozenset({"order_free"})
_BETWEEN: frozenset[Property] = frozenset({"order_free", "between_members", "single_is_itself"})

ROWS: tuple[Learner, ...] = (
    Learner(
        "mean",
        "plain mean",
        "mean of p_j",
        "Perrone and Cooper 1993",
        group="averages",
        purpose="members of about the same strength",
        fit=mean,
        learns=False,
        keeps=_BETWEEN,
    ),
    Learner(
        "median",
        "median",
        "median of p_j, rows renormalised",
        "",
        group="averages",
        purpose="members that are wildly wrong at times",
        fit=median,
        learns=False,
        keeps=_ANY_ORDER | {"single_is_itself"},
    ),
    Learner(
        "geometric",
        "geometric mean, the mean of logits",
        "exp(mean of log p_j), rows renormalised",
        "Genest and Zidek 1986",
        group="averages",
        purpose="well calibrated members, log loss",
        fit=geometric,
        learns=False,
        keeps=_ANY_ORDER | {"single_is_itself"},
    ),
    Learner(
        "rank_mean",
        "mean of ranks",
        "mean of rank(p_j) / n",
        "",
        group="averages",
        purpose="members on different scales, ROC AUC",
        fit=rank_mean,
        tasks=("binary", "regression"),
        learns=False,
        keeps=_ANY_ORDER,
    ),
    Learner(
        "best",
        "best single member",
        "p_j with the least loss",
        "",
        group="one weight a member",
        purpose="one member that outdoes the rest",
        fit=best,
        keeps=_BETWEEN,
    ),
    Learner(
        "greedy",
        "greedy selection with replacement",
        "round t adds argmin_j loss((S + p_j) / t); weights are counts / rounds",
        "Caruana et al. 2004",
        group="one weight a member",
        purpose="the usual choice, for any metric",
        fit=greedy,
        parameters=(
            Parameter("rounds", "int", 25, at_least=1, help="members taken at most, with repeats"),
            Parameter("keep", "str", "best", choices=("best", "last"), help="the rounds up to the least loss, or all"),
            Parameter("ties", "str", "chosen", choices=("chosen", "any"), help="of equals prefer members that are in, or any"),
            Parameter("rows", "int", 1_000_000, at_least=1, help="more rows than this are sampled"),
        ),
        presets={
            "autogluon": {"rounds": 25, "keep": "best", "ties": "chosen"},
            "auto_sklearn": {"rounds": 50, "keep": "last", "ties": "any"},
        },
        keeps=_BETWEEN,
        paper=13,
    ),
    Learner(
        "simplex",
        "best convex weights",
        "argmin over w >= 0, sum w = 1 of loss(sum w_j p_j)",
        "Breiman 1996",
        group="one weight a member",
        purpose="few members, smooth loss",
        fit=simplex,
        keeps=_BETWEEN,
    ),
    Learner(
        "nnls",
        "non-negative least squares",
        "argmin over w >= 0 of ||sum w_j p_j - y||^2",
        "Breiman 1996",
        group="one weight a member",
        purpose="numbers that all members shrink",
        fit=nnls,
        keeps=_ANY_ORDER,
    ),
    Learner(
        "cma_es",
        "evolution strategy on softmax weights",
        "argmin over x of loss(sum softmax(x)_j p_j)",
        "Purucker and Beel 2023",
        group="one weight a member",
        purpose="metrics with jumps, such as accuracy",
        fit=cma_es,
        parameters=(
            Parameter("generations", "int", 50, at_least=1, help="rounds of the search, at most"),
            Parameter("spread", "float", 1.0, above=0, help="size of the first steps"),
        ),
        keeps=frozenset({"between_members", "single_is_itself", "seeded"}),
    ),
    Learner(
        "universal",
        "universal mixture",
        "mean over the simplex of w, weighted by the likelihood of w",
        "Cover 1991; Lam 2024, arXiv 2406.03652",
        group="one weight a member",
        purpose="few rows: weights with a guarantee",
        fit=universal,
        tasks=CLASSES,
        parameters=(
            Parameter("points", "int", 4096, at_least=1, help="of the simplex, about"),
            Parameter("rows", "int", 100_000, at_least=1, help="of more rows than this the last ones count"),
        ),
        keeps=_BETWEEN,
        paper=7,
    ),
    Learner(
        "logistic",
        "logistic stacker",
        "softmax(A log p + b)",
        "Wolpert 1992; Ting and Witten 1999",
        group="stackers",
        purpose="many rows, members that are miscalibrated",
        fit=logistic,
        tasks=CLASSES,
        parameters=(_STRENGTH,),
        keeps=_ANY_ORDER,
    ),
    Learner(
        "ridge",
        "ridge stacker",
        "A p + b",
        "Wolpert 1992; Breiman 1996",
        group="stackers",
        purpose="numbers, members with a bias",
        fit=ridge,
        tasks=("regression",),
        parameters=(_STRENGTH,),
        keeps=_ANY_ORDER,
    ),
    Learner(
        "per_class",
        "convex weights for each class",
        "p_k = sum w_jk p_jk, rows renormalised",
        "Ting and Witten 1999",
        group="weights that vary",
        purpose="members that know different classes",
        fit=per_class,
        tasks=CLASSES,
        keeps=_ANY_ORDER | {"single_is_itself"},
    ),
    Learner(
        "per_group",
        "convex weights for each segment",
        "w_g = (n_g w_segment + shrink w_all) / (n_g + shrink)",
        "",
        group="weights that vary",
        purpose="members that know different segments",
        fit=per_group,
        parameters=(Parameter("shrink", "float", 50.0, at_least=0, help="rows that the weights of all count as"),),
        needs_segments=True,
        keeps=_BETWEEN,
    ),
    Learner(
        "gate",
        "weights for each row",
        "sum softmax(A s(x) + b)_j p_j, s how sure each member is",
        "Jacobs et al. 1991",
        group="weights that vary",
        purpose="members that know when they are right",
        fit=gate,
        parameters=(Parameter("strength", "float", 1e-3, at_least=0, help="of the L2 penalty"),),
        keeps=_BETWEEN,
    ),
    Learner(
        "chooser",
        "learned chooser of a subset",
        "mean of p_j over the j that a network trained on other pools marks",
        "Xie et al. 2024",
        group="weights that vary",
        purpose="which members, learned on other pools",
        fit=chosen,
        tasks=CLASSES,
        parameters=(
            Parameter("chooser", "str", help="the folder that SubsetChooser.save wrote"),
            Parameter("size", "int", 0, at_least=0, help="how many members; 0 leaves it open"),
        ),
        keeps=frozenset({"between_members", "single_is_itself"}),
        paper=45,
    ),
)

LEARNERS: dict[str, Learner] = {row.name: row for row in ROWS}


def learner_of(given: str | Learner | Callable[..., FittedRule]) -> Learner:
    """The learner of that name; a row of one's own as it is; or the row of a function (pool, y, metric, **known) -> FittedRule.

    Raises ParameterError, which names the nearest, for other names.
    """
    if isinstance(given, Learner):
        return given
    if callable(given):
        name = getattr(given, "__name__", "function")
        return Learner(name, name, "a function of one's own", "", fit=given)
    if not isinstance(given, str) or given not in LEARNERS:
        raise ParameterError("method: " + unknown("method", given, [*LEARNERS, "auto"]))
    return LEARNERS[given]
