"""One small vision transformer, four specialists, seven merges: the main job in a minute, on real images."""

from .run import run_demo
from .score import DemoResult, ScoreRow

__all__ = ["DemoResult", "ScoreRow", "run_demo"]
