"""The methods that an experiment compares (METHODS.md 1.5), as changes of one config."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Method:
    """What a method trains, in at most two stages.

    Every method passes over its labelled examples as often: where one stage is missing, the other has its epochs too.

    Attributes:
        joint: Settings of the stage on all domains together; None: there is none.
        finetunes: Whether each domain is fine-tuned afterwards (or from the base weights).
        heads: Whether the joint stage ends in a model for each of its domains.
    """

    joint: dict[str, Any] | None = field(default_factory=dict)
    finetunes: bool = True
    heads: bool = False


_ORDINARY = {"mft.weighting": "none", "mft.domain_loss_weight": 0.0}
METHODS: dict[str, Method] = {
    "single": Method(joint=None),
    "mix": Method(_ORDINARY, finetunes=False),
    "mtl": Method({"baseline.method": "multi_task"}, finetunes=False, heads=True),
    "adversarial": Method({"baseline.method": "adversarial"}, finetunes=False),
    "two_stage": Method(_ORDINARY),
    "mft_dc": Method({"mft.weighting": "none"}),
    "mft_tw": Method({"mft.domain_loss_weight": 0.0}),
    "mft_full": Method({}),
    "mft_full_centered": Method({"mft.typicality.center": True}),
    "mft_full_whitened": Method({"mft.typicality.whiten": True}),
    "mft_full_mean_1": Method({"mft.typicality.rescale_to_mean_1": True}),
    "random_typicality": Method({"mft.typicality.permute": True}),
}
