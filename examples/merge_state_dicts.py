"""Ten fine-tuning runs of any PyTorch model become one: train ten times, `modelweave.merge`, load. Takes some seconds.

pip install modelweave scikit-learn && python examples/merge_state_dicts.py
"""

from __future__ import annotations

import copy

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

import modelweave
from modelweave.networks import Batches, fit, supervised


def train(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, *, rate: float, epochs: int, seed: int) -> None:
    batches = Batches((x, y), size=25, shuffle=True, seed=seed)
    fit(model, batches, supervised(cross_entropy), optimizer=torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9), epochs=epochs)


def accuracy(model: torch.nn.Module) -> float:
    return float((model(test_x).argmax(-1) == test_y).float().mean())


torch.manual_seed(0)
digits = load_digits()
x, y = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)
order = torch.randperm(len(x))
train_x, train_y, test_x, test_y = x[order[:1000]], y[order[:1000]], x[order[1000:]], y[order[1000:]]

base = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
train(base, train_x[:100], train_y[:100], rate=0.05, epochs=20, seed=0)
runs = []
for seed in range(1, 11):
    rows = torch.randperm(1000, generator=torch.Generator().manual_seed(seed))[:300]
    labels = train_y[rows].clone()
    wrong = torch.rand(300) < 0.3  # every run has its own mistakes in the labels, which the average forgets
    labels[wrong] = torch.randint(10, (int(wrong.sum()),))
    runs.append(copy.deepcopy(base))
    train(runs[-1], train_x[rows], labels, rate=0.05, epochs=10, seed=seed)

soup = copy.deepcopy(base)
soup.load_state_dict(modelweave.merge(runs, method="linear", weight=1.0))

alone = sorted(accuracy(run) for run in runs)
print(f"the ten runs alone: {alone[0]:.3f} to {alone[-1]:.3f}, mean {sum(alone) / 10:.3f}")
print(f"merged into one:    {accuracy(soup):.3f}")
