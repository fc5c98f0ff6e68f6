"""One small vision transformer, four specialists, eight merges: the whole library in two minutes, on real images."""

from .run import run_demo
from .score import DemoResult, ScoreRow

__all__ = ["DemoResult", "ScoreRow", "run_demo"]
