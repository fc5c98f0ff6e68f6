"""What the models inside an estimator are given when it is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter, signature
from typing import Any

import numpy as np
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from ...errors import ParameterError


class PassesMetadata:
    """Sample weights, groups and whatever else, by scikit-learn's routing where that is enabled."""

    def _params_by_member(self, models: Mapping[str, Any], **given: Any) -> dict[str, dict[str, Any]]:
        """What each model's `fit` is given: as scikit-learn's routing says where it is enabled, or the sample weights for all."""
        given = {name: value for name, value in given.items() if value is not None}
        if "sample_weight" in given:
            given["sample_weight"] = np.asarray(given["sample_weight"])
        if _routing_enabled():
            routed = process_routing(self, "fit", **given)
            return {name: dict(routed[name].fit) if name in routed else {} for name in models}
        strange = sorted(set(given) - {"sample_weight", "groups", "time"})
        if strange:
            raise ParameterError(
                f"fit: '{strange[0]}' is not known to {type(self).__name__}; enable scikit-learn's metadata routing to pass it to members"
            )
        weight = {k: v for k, v in given.items() if k == "sample_weight"}
        for name, model in models.items():
            if weight:
                check_takes_weight(name, model)
        return {name: dict(weight) for name in models}

    def _routed(self) -> Mapping[str, Any]:
        """Every model by the name it has in routing."""
        raise NotImplementedError

    def get_metadata_routing(self) -> MetadataRouter:
        """Members get in `fit` what they request; weights, groups and time also serve the ensemble itself."""
        router = MetadataRouter(owner=self).add_self_request(self)
        for name, model in self._routed().items():
            router.add(**{name: model}, method_mapping=MethodMapping().add(caller="fit", callee="fit"))
        return router


def check_takes_weight(name: str, model: Any) -> None:
    """Raise ParameterError where a member's fit has no sample weights, which would then be ignored."""
    known = signature(model.fit).parameters
    if "sample_weight" not in known and not any(p.kind is Parameter.VAR_KEYWORD for p in known.values()):
        raise ParameterError(
            f"sample_weight: member '{name}' ({type(model).__name__}) takes none; leave it out, "
            "or enable scikit-learn's metadata routing, where members say what they take"
        )


def _routing_enabled() -> bool:
    from sklearn import get_config

    return bool(get_config().get("enable_metadata_routing", False))
