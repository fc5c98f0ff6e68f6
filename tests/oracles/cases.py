"""The cases that are computed by mergekit and by modelweave: method, parameters, which inputs."""

from __future__ import annotations

from typing import Any

SHAPES = {"matrix": (13, 17), "vector": (40,), "one": (1,), "volume": (3, 4, 5)}

# name, method, number of members besides the base, whether a base is given, shared parameters, one list a member's parameter
CASES: list[tuple[str, str, int, bool, dict[str, Any], dict[str, list[float]]]] = [
    ("linear", "linear", 3, False, {}, {"weight": [1.0, 0.3, 0.5]}),
    ("linear raw", "linear", 3, False, {"normalize": False}, {"weight": [1.0, 0.3, -0.5]}),
    ("slerp", "slerp", 1, True, {"t": 0.3}, {}),
    ("nuslerp", "nuslerp", 2, False, {}, {"weight": [0.3, 0.9]}),
    ("nuslerp base", "nuslerp", 2, True, {}, {"weight": [0.3, 0.9]}),
    ("nuslerp rows", "nuslerp", 2, True, {"nuslerp_flatten": False}, {"weight": [0.3, 0.9]}),
    ("nuslerp columns", "nuslerp", 2, True, {"nuslerp_flatten": False, "nuslerp_row_wise": True}, {"weight": [0.3, 0.9]}),
    ("multislerp", "multislerp", 3, False, {}, {"weight": [0.2, 0.5, 0.3]}),
    ("multislerp base", "multislerp", 3, True, {"normalize_weights": False}, {"weight": [0.2, 0.5, 0.4]}),
    ("karcher", "karcher", 3, False, {}, {}),
    ("karcher short", "karcher", 3, False, {"max_iter": 2}, {}),
    ("task_arithmetic", "task_arithmetic", 3, True, {"lambda": 0.7}, {"weight": [1.0, 0.3, -0.5]}),
    ("task_arithmetic normalized", "task_arithmetic", 3, True, {"normalize": True}, {"weight": [1.0, 0.3, 0.5]}),
    ("ties", "ties", 3, True, {}, {"weight": [1.0, 0.3, 0.5], "density": [0.5, 0.2, 0.9]}),
    ("ties sum", "ties", 3, True, {"normalize": False, "lambda": 0.4}, {"weight": [1.0, 0.3, 0.5], "density": [0.5, 0.2, 1.0]}),
    ("ties rescaled", "ties", 3, True, {"rescale": True}, {"weight": [1.0, 0.3, 0.5], "density": [0.5, 0.2, 0.9]}),
    ("ties negative", "ties", 3, True, {}, {"weight": [1.0, -0.3, 0.5], "density": [0.5, 0.6, 0.9]}),
    ("dare whole", "dare_ties", 3, True, {}, {"weight": [1.0, 0.3, 0.5], "density": [1.0, 1.0, 1.0]}),
    ("breadcrumbs", "breadcrumbs", 3, True, {}, {"weight": [1.0, 0.3, 0.5], "density": [0.5, 0.2, 0.9], "gamma": [0.1, 0.05, 0.2]}),
    (
        "breadcrumbs_ties",
        "breadcrumbs_ties",
        3,
        True,
        {},
        {"weight": [1.0, 0.3, 0.5], "density": [0.5, 0.2, 0.9], "gamma": [0.1, 0.05, 0.0]},
    ),
    ("della whole", "della", 3, True, {}, {"weight": [1.0, 0.3, 0.5], "density": [1.0, 1.0, 1.0]}),
    ("sce", "sce", 3, True, {}, {}),
    ("sce selected", "sce", 3, True, {"select_topk": 0.3}, {}),
    ("ram", "ram", 3, True, {"epsilon": 0.01}, {}),
    ("ramplus_tl", "ramplus_tl", 3, True, {"epsilon": 0.01, "r": 0.3, "alpha": 0.8}, {}),
    ("model_stock", "model_stock", 3, True, {}, {}),
    ("model_stock rows", "model_stock", 3, True, {"filter_wise": True}, {}),
    ("nearswap", "nearswap", 1, True, {"t": 0.005}, {}),
    ("arcee_fusion", "arcee_fusion", 1, True, {}, {}),
    ("passthrough", "passthrough", 1, False, {}, {"scale": [0.7]}),
]
