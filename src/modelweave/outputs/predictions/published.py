"""The rows: every way to make an ensemble of predictions."""

from __future__ import annotations

from ...row import Parameter
from .learner import Learner
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

_ROWS = (
    Learner("mean", "plain mean", "mean of p_j", "Perrone and Cooper 1993", mean, learns=False),
    Learner("median", "median", "median of p_j, rows renormalised", "", median, learns=False),
    Learner(
        "geometric",
        "geometric mean, the mean of logits",
        "exp(mean of log p_j), rows renormalised",
        "Genest and Zidek 1986",
        geometric,
        learns=False,
    ),
    Learner("rank_mean", "mean of ranks", "mean of rank(p_j) / n", "", rank_mean, ("binary", "regression"), learns=False),
    Learner("best", "best single member", "p_j with the least loss", "", best),
    Learner(
        "greedy",
        "greedy selection with replacement",
        "round t adds argmin_j loss((S + p_j) / t); weights are counts / rounds",
        "Caruana et al. 2004",
        greedy,
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
        paper=13,
    ),
    Learner("simplex", "best convex weights", "argmin over w >= 0, sum w = 1 of loss(sum w_j p_j)", "Breiman 1996", simplex),
    Learner("nnls", "non-negative least squares", "argmin over w >= 0 of ||sum w_j p_j - y||^2", "Breiman 1996", nnls),
    Learner("logistic", "logistic stacker", "softmax(A log p + b)", "Wolpert 1992; Ting and Witten 1999", logistic, CLASSES, (_STRENGTH,)),
    Learner("ridge", "ridge stacker", "A p + b", "Wolpert 1992; Breiman 1996", ridge, ("regression",), (_STRENGTH,)),
    Learner(
        "cma_es",
        "evolution strategy on softmax weights",
        "argmin over x of loss(sum softmax(x)_j p_j)",
        "Purucker and Beel 2023",
        cma_es,
        parameters=(
            Parameter("generations", "int", 50, at_least=1, help="rounds of the search, at most"),
            Parameter("spread", "float", 1.0, above=0, help="size of the first steps"),
        ),
    ),
    Learner(
        "per_class", "convex weights for each class", "p_k = sum w_jk p_jk, rows renormalised", "Ting and Witten 1999", per_class, CLASSES
    ),
    Learner(
        "per_group",
        "convex weights for each segment",
        "w_g = (n_g w_segment + shrink w_all) / (n_g + shrink)",
        "",
        per_group,
        parameters=(Parameter("shrink", "float", 50.0, at_least=0, help="rows that the weights of all count as"),),
        needs_segments=True,
    ),
    Learner(
        "gate",
        "weights for each row",
        "sum softmax(A s(x) + b)_j p_j, s how sure each member is",
        "Jacobs et al. 1991",
        gate,
        parameters=(Parameter("strength", "float", 1e-3, at_least=0, help="of the L2 penalty"),),
    ),
    Learner(
        "universal",
        "universal mixture",
        "mean over the simplex of w, weighted by the likelihood of w",
        "Cover 1991; paper 07",
        universal,
        CLASSES,
        (
            Parameter("points", "int", 4096, at_least=1, help="of the simplex, about"),
            Parameter("rows", "int", 100_000, at_least=1, help="of more rows than this the last ones count"),
        ),
        paper=7,
    ),
    Learner(
        "chooser",
        "learned chooser of a subset",
        "mean of p_j over the j that a network trained on other pools marks",
        "Xie et al. 2024",
        chosen,
        CLASSES,
        (
            Parameter("chooser", "str", help="the folder that SubsetChooser.save wrote"),
            Parameter("size", "int", 0, at_least=0, help="how many members; 0 leaves it open"),
        ),
        paper=45,
    ),
)

LEARNERS: dict[str, Learner] = {row.name: row for row in _ROWS}
