"""Every source as a map over the cells of one grid: a classifier over regions, a gallery of places, an attribute of the place."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import CompatibilityError, ParameterError
from .blur import blur
from .grid import Grid


def classifier_map(
    probabilities: ArrayLike, regions: ArrayLike, *, areas: ArrayLike | None = None, nodata: int = -1
) -> NDArray[np.float64]:
    """The map of a classifier over irregular regions: each region's probability, spread evenly over its cells.

    map[c] = p[regions[c]] * areas[c] / (sum of areas of the cells of that region); then each map is scaled to sum 1.

    A region too small to hold a cell's centre loses its probability to the others, by the last step.

    Args:
        probabilities: (queries, regions), not negative.
        regions: (cells,) or (rows, columns) the region that holds each cell's centre, or nodata.
        areas: (cells,) km^2; None counts cells, as if all were equal.
        nodata: what stands for no region.

    Returns:
        (queries, cells).

    Raises:
        CompatibilityError: for what does not fit, and for a query without probability on any cell.

    Source: Bianco, Eigen and Gormish 2024, arXiv 2407.13862, name such sources; dividing by the region's size is inferred.

    >>> classifier_map([[0.6, 0.4]], [0, 0, 0, 1]).round(3)
    array([[0.2, 0.2, 0.2, 0.4]])
    """
    p = _scores("classifier_map", probabilities)
    ids = _raster("classifier_map", regions, p.shape[1], nodata)
    sizes = np.ones(len(ids)) if areas is None else np.asarray(areas, np.float64)
    if sizes.shape != ids.shape or not (sizes > 0).all():
        raise CompatibilityError(f"classifier_map: expected {len(ids)} areas above 0, one a cell, got shape {sizes.shape}")
    known = ids != nodata
    whole = np.bincount(ids[known], sizes[known], minlength=p.shape[1])
    share = np.where(known, sizes / np.where(known, whole[np.where(known, ids, 0)], 1), 0)
    return _to_one("classifier_map", p[:, np.where(known, ids, 0)] * share)


def retriever_map(
    similarities: ArrayLike, lat: ArrayLike, lon: ArrayLike, grid: Grid, *, temperature: float = 1.0, blur_km: float = 0.0
) -> NDArray[np.float64]:
    """The map of a retriever: softmax of the similarities to a gallery of places, added up in the places' cells, blurred if asked.

    map[c] = sum over places g in cell c of softmax(similarity / temperature)[g].

    Args:
        similarities: (queries, places), finite.
        lat: (places,) degrees.
        lon: (places,) degrees.
        grid: of the cells.
        temperature: above 0; 1 / the model's logit scale for cosines.
        blur_km: standard deviation of a Gaussian on the sphere, from 0; it keeps the mass.

    Returns:
        (queries, cells), rows of sum 1.

    Raises:
        CompatibilityError: for what does not fit.
        ParameterError: for options.

    Source: Bianco, Eigen and Gormish 2024, arXiv 2407.13862, name such sources; temperature and blur are inferred.

    >>> from modelweave.outputs.geolocation.grid import equal_angle_grid
    >>> retriever_map([[0.0, 0.0, 0.0]], [45, 45, -45], [-90, -90, 90], equal_angle_grid(2, 2)).round(3)
    array([[0.667, 0.   , 0.   , 0.333]])
    """
    if not 0 < temperature < np.inf:
        raise ParameterError(f"retriever_map: temperature must be above 0, got {temperature}")
    logits = _scores("retriever_map", similarities, signed=True) / temperature
    places = np.atleast_1d(grid.cell_of(lat, lon))
    if places.shape != logits.shape[1:]:
        raise CompatibilityError(f"retriever_map: {logits.shape[1]} similarities a query, but {places.shape} places")
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    order = np.argsort(places, kind="stable")
    cells, starts = np.unique(places[order], return_index=True)
    found = np.zeros((len(logits), grid.cells))
    found[:, cells] = np.add.reduceat(chances[:, order], starts, axis=1)
    return blur(found, grid, blur_km) if blur_km else found


def attribute_map(probabilities: ArrayLike, raster: ArrayLike, *, nodata: int = -1, prior: ArrayLike | None = None) -> NDArray[np.float64]:
    """The map of an attribute predictor: each cell gets the probability of the class that the cell has.

    map[c] = p[raster[c]], or the mean of p over the classes where the raster has nodata. With a prior, p / prior instead of p.

    It is a likelihood, constant inside each class, and is not scaled to a sum.

    Args:
        probabilities: (queries, classes), not negative.
        raster: (cells,) or (rows, columns) classes from 0, or nodata.
        nodata: what stands for no class.
        prior: (classes,) shares of the classes among the predictor's training images, above 0; a product of experts divides by it, the
            plain product of the source does not.

    Returns:
        (queries, cells).

    Raises:
        CompatibilityError: for what does not fit.

    Source: Bianco, Eigen and Gormish 2024, arXiv 2407.13862; the rule for nodata and the prior are inferred.

    >>> attribute_map([[0.7, 0.3]], [0, 1, -1])
    array([[0.7, 0.3, 0.5]])
    """
    p = _scores("attribute_map", probabilities)
    classes = _raster("attribute_map", raster, p.shape[1], nodata)
    if prior is not None:
        shares = np.asarray(prior, np.float64)
        if shares.shape != p.shape[1:] or not (shares > 0).all():
            raise CompatibilityError(f"attribute_map: expected a prior of {p.shape[1]} shares above 0, got {shares.tolist()}")
        p = p / shares
    with_mean = np.concatenate([p, p.mean(axis=1, keepdims=True)], axis=1)
    return np.asarray(with_mean[:, np.where(classes == nodata, p.shape[1], classes)])


def _scores(where: str, given: ArrayLike, *, signed: bool = False) -> NDArray[np.float64]:
    scores = np.asarray(given, np.float64)
    if scores.ndim != 2 or 0 in scores.shape or not np.isfinite(scores).all() or (not signed and scores.min() < 0):
        kind = "finite numbers" if signed else "finite numbers that are not negative"
        raise CompatibilityError(f"{where}: expected one row a query of {kind}, got shape {scores.shape} or other values")
    return scores


def _raster(where: str, given: ArrayLike, classes: int, nodata: int) -> NDArray[np.intp]:
    raster = np.asarray(given).ravel()
    if raster.dtype.kind not in "iu" or not raster.size:
        raise CompatibilityError(f"{where}: expected a raster of whole numbers, got {raster.dtype} with {raster.size} cells")
    values = raster.astype(np.intp)
    wrong = (values != nodata) & ((values < 0) | (values >= classes))
    if wrong.any():
        raise CompatibilityError(
            f"{where}: cell {wrong.argmax()} of the raster is {values[wrong][0]}; expected 0 to {classes - 1} (the columns of the "
            f"probabilities) or nodata = {nodata}"
        )
    return values


def _to_one(where: str, maps: NDArray[np.float64]) -> NDArray[np.float64]:
    sums = maps.sum(axis=1, keepdims=True)
    if not (sums > 0).all():
        raise CompatibilityError(
            f"{where}: query {int(np.argmin(sums))} has no probability on any cell of the grid; is the raster the right one?"
        )
    return np.asarray(maps / sums)
