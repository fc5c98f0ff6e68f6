"""Writes mergekit_numbers.npz; run once in an environment with mergekit 0.1.5: python make_mergekit_numbers.py"""

import numpy as np
import torch
from cases import CASES, SHAPES
from mergekit.merge_methods.api import merge_tensors

random = np.random.default_rng(8)
stored = {}
for kind, shape in SHAPES.items():
    base = random.standard_normal(shape).astype(np.float32) * np.float32(0.1)
    members = [(base + random.standard_normal(shape).astype(np.float32) * np.float32(0.02)).astype(np.float32) for _ in range(3)]
    stored[f"{kind}/base"] = base
    for i, member in enumerate(members):
        stored[f"{kind}/member{i}"] = member
    for name, method, count, with_base, shared, each in CASES:
        tensors = [torch.from_numpy(m) for m in members[:count]]
        parameters = dict(shared)
        if with_base:
            tensors = [torch.from_numpy(base), *tensors]
            parameters.update({key: {i + 1: v for i, v in enumerate(values)} for key, values in each.items()})
        else:
            parameters.update({key: dict(enumerate(values)) for key, values in each.items()})
        result = merge_tensors(tensors, method, parameters=parameters, ids=list(range(len(tensors))), base_index=0 if with_base else None)
        stored[f"{kind}/{name}"] = result.numpy()
np.savez_compressed("mergekit_numbers.npz", **stored)
