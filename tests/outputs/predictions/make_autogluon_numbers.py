"""Writes autogluon_numbers.json; run with a Python that has autogluon.core 1.6, pandas and scikit-learn, in this folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

CASES = [
    ("binary", "log_loss", [200, 2, [1.0, 1.1, 1.3, 3.0]], None),
    ("binary", "roc_auc", [200, 2, [1.0, 1.1, 1.3, 3.0]], 1),
    ("binary", "accuracy", [150, 2, [1.0, 1.1, 1.3, 3.0]], None),
    ("multiclass", "log_loss", [200, 4, [1.0, 1.1, 1.3, 3.0, 3.0]], None),
    ("multiclass", "accuracy", [200, 4, [1.0, 1.1, 1.3, 3.0, 3.0]], 1),
    ("regression", "rmse", [200, [1.0, 1.1, 1.3, 3.0]], None),
    ("regression", "mae", [200, [1.0, 1.1, 1.3, 3.0]], None),
    ("regression", "r2", [200, [1.0, 1.1, 1.3, 3.0]], None),
]


def main() -> None:
    from autogluon.core import metrics
    from autogluon.core.models.greedy_ensemble.ensemble_selection import EnsembleSelection
    from slow import make_members, make_numbers

    peers = {"rmse": metrics.root_mean_squared_error, "mae": metrics.mean_absolute_error}
    peers |= {name: getattr(metrics, name) for name in ("log_loss", "accuracy", "roc_auc", "r2")}
    found = []
    for problem, metric, arguments, rounded in CASES:
        for seed in (0, 1):
            members, y = (make_numbers if problem == "regression" else make_members)(seed, *arguments)
            arrays = [p if rounded is None else np.round(p, rounded) for p in members.values()]
            if problem == "binary":
                arrays = [p[:, 1] for p in arrays]
            elif problem == "multiclass":
                arrays = [p / p.sum(axis=1, keepdims=True) for p in arrays]
            peer = EnsembleSelection(25, problem, peers[metric]).fit(arrays, y)
            case = {"name": f"{problem}-{metric}-{seed}", "problem": problem, "metric": metric, "seed": seed, "arguments": arguments}
            case |= {"rounded": rounded, "rounds": 25, "weights": peer.weights_.tolist(), "losses": [float(x) for x in peer.trajectory_]}
            found.append(case)
    Path("autogluon_numbers.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
