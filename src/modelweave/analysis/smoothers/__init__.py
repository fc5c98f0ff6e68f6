"""Ensembles as adaptive smoothers: how much a model averages its training labels, on rows that it knows and on new ones."""
