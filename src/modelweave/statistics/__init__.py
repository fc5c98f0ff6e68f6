"""How sure one can be of a difference: intervals, corrections for many tests, and correlation of ranks."""
