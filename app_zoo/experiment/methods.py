"""The methods that an experiment compares (docs/methods.md 1.5), as changes of one config."""

from dataclasses import dataclass, field, replace
from typing import Any

from easymft.config.presets import AVERAGE_DOMAINS, DOMAIN_LOSS_WEIGHT, PRESET_FIELDS, RECOMMENDED, WEIGHTING
from easymft.config.schema import ComparisonConfig, VariantConfig

_APART, _AVERAGED = ({AVERAGE_DOMAINS: share} for share in (0.0, RECOMMENDED[AVERAGE_DOMAINS]))


@dataclass(frozen=True)
class Method:
    """What a method trains, in at most two stages.

    Every method passes over its labelled examples as often: where one stage is missing, the other has its epochs too.

    Attributes:
        joint: Settings of the stage on all domains together; None: there is none.
        both: Settings of every stage, which a variant changes.
        final: Settings of the fine-tuning; whether its domains are averaged is in the method, not in the preset.
        joint_epochs: Of the first stage, where it is not the experiment's number.
        finetune_epochs: Of the fine-tuning, likewise.
        finetunes: Whether each domain is fine-tuned afterwards (or from the base weights).
    """

    joint: dict[str, Any] | None = field(default_factory=dict)
    both: dict[str, Any] = field(default_factory=dict)
    final: dict[str, Any] = field(default_factory=lambda: dict(_APART))
    joint_epochs: int | None = None
    finetune_epochs: int | None = None
    finetunes: bool = True


_SCORED, _ALIKE = ({WEIGHTING: weighting} for weighting in ("typicality", "none"))
_ORDINARY = _ALIKE | {DOMAIN_LOSS_WEIGHT: 0.0}
METHODS: dict[str, Method] = {
    "single": Method(joint=None),
    "mix": Method(_ORDINARY, finetunes=False),
    "mtl": Method({"baseline.method": "multi_task"}, finetunes=False),
    "adversarial": Method({"baseline.method": "adversarial"}, finetunes=False),
    "two_stage": Method(_ORDINARY),
    "two_stage_averaged": Method(_ORDINARY, final=_AVERAGED),
    "mft_dc": Method(_ALIKE),
    "mft_tw": Method(_SCORED | {DOMAIN_LOSS_WEIGHT: 0.0}),
    "mft_full": Method(_SCORED),
    "mft_full_averaged": Method(_SCORED, final=_AVERAGED),
    "mft_full_centered": Method(_SCORED | {"mft.typicality.center": True}),
    "mft_full_whitened": Method(_SCORED | {"mft.typicality.whiten": True}),
    "mft_full_mean_1": Method(_SCORED | {"mft.typicality.rescale_to_mean_1": True}),
    "random_typicality": Method(_SCORED | {"mft.typicality.permute": True}),
}


def methods_of(experiment: ComparisonConfig) -> dict[str, Method]:
    """The methods that an experiment compares, by name: those of the table that it names, and its variants."""
    variants = {
        name: replace(
            METHODS[variant.method],
            both=_changes(variant.settings),
            final=_final(METHODS[variant.method], variant),
            joint_epochs=variant.joint_epochs,
            finetune_epochs=variant.finetune_epochs,
        )
        for name, variant in experiment.variants.items()
    }
    return {name: METHODS[name] for name in experiment.methods} | variants


def _final(method: Method, variant: VariantConfig) -> dict[str, Any]:
    given = PRESET_FIELDS if "mft.preset" in variant.settings else variant.settings
    return {path: value for path, value in method.final.items() if path not in given} | variant.finetune_settings


def _changes(settings: dict[str, Any]) -> dict[str, Any]:
    # The experiment's config has its own preset's choices, which another preset must not find there. What the losses
    # are weighted by is the method's choice.
    decided = (*(path for path in PRESET_FIELDS if path not in (WEIGHTING, DOMAIN_LOSS_WEIGHT)), "data.group_by_length")
    return (dict.fromkeys(decided) if "mft.preset" in settings else {}) | settings
