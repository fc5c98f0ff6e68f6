"""Model breadcrumbs (arXiv 2312.06795): without cuts breadcrumbs are task arithmetic, with cuts they are not."""

import torch

from modelweave.papers.weights import breadcrumbs_42 as paper
from modelweave.papers.worlds.classifiers import Suite


def test_the_identity_is_seen_and_a_mask_drops_nine_tenths() -> None:
    random = torch.Generator().manual_seed(0)
    base = {"w": torch.zeros(20, 20)}
    suite = Suite(base, [{"w": torch.randn(20, 20, generator=random)} for _ in range(4)], [], [])
    assert paper._keeps_everything(suite)
    masked = paper._prepared(suite, 1, paper.WAYS["breadcrumbs"]).at(1.0)["w"]
    size = suite.experts[0]["w"].abs().flatten().sort().values
    kept = masked[masked != 0].abs()
    assert len(kept) == 40 and kept.max() < size[-4] and kept.min() > size[-46]
