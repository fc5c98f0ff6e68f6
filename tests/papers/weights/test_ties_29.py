"""The made vectors of TIES."""

from __future__ import annotations

from modelweave.papers.weights import ties_29 as paper


def test_the_mechanism_on_made_vectors() -> None:
    errors = {row["condition"]: row["error"] for row in paper.mechanism(3)}
    assert errors["made vectors, TIES 20 %"] <= 0.6 and errors["made vectors, mean"] >= 0.75
    assert errors["made vectors, signs of the other 90 % turned"] == errors["made vectors, TIES 10 %"]
    assert errors["made vectors, signs of the largest 10 % turned"] > 2
