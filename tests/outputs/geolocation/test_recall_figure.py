import numpy as np
import pytest

from modelweave.errors import CompatibilityError, OutputError
from modelweave.outputs.geolocation.area_result import AreaResult
from modelweave.outputs.geolocation.recall_figure import draw_recall_vs_area

pytest.importorskip("matplotlib")
FOUND = AreaResult(10 ** np.random.default_rng(0).uniform(3, 8, 50), 5.1e8)
RESULTS = {"one": FOUND, "two": AreaResult(FOUND.area / 3, 5.1e8)}


def test_the_picture_has_a_curve_a_way_and_a_panel_a_label(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (drawn.append(self), save(self, *a, **k))[1])
    draw_recall_vs_area(RESULTS, tmp_path / "all.png")
    draw_recall_vs_area(RESULTS, tmp_path / "parts.svg", labels=["rural", "urban"] * 25)
    assert (tmp_path / "all.png").read_bytes()[:4] == b"\x89PNG" and b"<svg" in (tmp_path / "parts.svg").read_bytes()[:600]
    assert [len(figure.axes) for figure in drawn] == [1, 2]
    (one, two) = drawn[0].axes[0].lines
    assert one.get_ydata() == pytest.approx(FOUND.curve().recall) and (two.get_ydata() >= one.get_ydata()).all()
    assert [axes.get_title() for axes in drawn[1].axes] == ["rural (25 queries)", "urban (25 queries)"]
    assert drawn[1].axes[0].lines[0].get_ydata() == pytest.approx(FOUND.by(["rural", "urban"] * 25)["rural"].curve().recall)


def test_nothing_to_draw_and_nowhere_to_write(tmp_path):
    with pytest.raises(CompatibilityError, match="no results"):
        draw_recall_vs_area({}, tmp_path / "x.png")
    with pytest.raises(OutputError, match="cannot be written"):
        draw_recall_vs_area(RESULTS, tmp_path / "nowhere" / "x.png")
