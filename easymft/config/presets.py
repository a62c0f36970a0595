"""What the presets `paper`, `easytransfer` and `recommended` decide (docs/methods.md 1.6; docs/results.md)."""

from typing import Any

from easymft.config.schema import ExperimentConfig, TypicalityConfig

AVERAGE_DOMAINS, WEIGHTING = "train.average_domains", "mft.weighting"
DOMAIN_LOSS_WEIGHT = "mft.domain_loss_weight"
# Path of a field -> its value under paper and under easytransfer. model.activation is absent from `paper`: there the
# weights' own config decides.
_PRESET_VALUES: dict[str, tuple[Any, Any]] = {
    "data.truncation_tie": ("first", "second"),
    "data.padding": ("longest", "max_length"),
    "model.activation": (None, "gelu_approximate"),
    "model.pooling": ("pooled", "pooled"),
    "mft.typicality.embedding": ("token_mean", "pooled"),
    "mft.typicality.out_of_domain": ("mean_of_cosines", "cosine_to_mean"),
    "mft.typicality.decimals": (None, 5),
    WEIGHTING: ("typicality", "typicality"),
    DOMAIN_LOSS_WEIGHT: (0.1, 0.1),
    "mft.corruption": ("false_domain", "shuffle"),
    "mft.domain_weighting": ("typicality", "none"),
    "mft.layer_pooling": ("real_tokens", "all_positions"),
    "mft.domain_classifier": ("per_layer", "shared"),
    "mft.normalization": ("examples", "nonzero_weights"),
    "train.schedule": ("linear", "easytransfer"),
    "train.optimizer": ("adamw", "adamw_easytransfer"),
    "train.clip_repeated_rows": ("summed", "separate"),
    AVERAGE_DOMAINS: (0.0, 0.0),
    "train.epoch_batches": ("per_epoch", "continuous"),
}
# Where `recommended` differs from `paper`.
RECOMMENDED: dict[str, Any] = {AVERAGE_DOMAINS: 0.5, WEIGHTING: "none", DOMAIN_LOSS_WEIGHT: 0.0}
_OF_CORRUPTION = ("layers", "corruption", "domain_weighting", "layer_pooling", "domain_classifier")
PRESET_FIELDS = tuple(_PRESET_VALUES)
# Fields of mft.typicality that a preset may have set rather than the user.
PRESET_TYPICALITY_FIELDS = {path.rsplit(".", 1)[1] for path in _PRESET_VALUES if path.startswith("mft.typicality.")}


def preset_value(preset: str, path: str) -> Any:
    """What a preset decides of one of `PRESET_FIELDS`."""
    given = RECOMMENDED if preset == "recommended" else {}
    return given.get(path, _PRESET_VALUES[path][preset == "easytransfer"])


def resolve_presets(config: ExperimentConfig) -> ExperimentConfig:
    """Returns a copy of `config` in which every field left to the preset holds the preset's value."""
    resolved = config.model_copy(deep=True)
    # What the config speaks of is not in vain: `recommended` alone would do without.
    mft = resolved.mft
    if mft.weighting is None and (config.data.columns.typicality is not None or _asks_for_scores(config)):
        mft.weighting = "typicality"
    if mft.domain_loss_weight is None and any(getattr(mft, name) is not None for name in _OF_CORRUPTION):
        mft.domain_loss_weight = preset_value("paper", DOMAIN_LOSS_WEIGHT)
    for path in PRESET_FIELDS:
        section: Any = resolved
        *parents, name = path.split(".")
        for parent in parents:
            section = getattr(section, parent)
        if getattr(section, name) is None:
            setattr(section, name, preset_value(resolved.mft.preset, path))
    if resolved.data.group_by_length is None:
        resolved.data.group_by_length = resolved.data.padding == "longest"
    return resolved


def _asks_for_scores(config: ExperimentConfig) -> bool:
    """Whether the config says what typicality is: has settings other than the defaults, but for those of speed."""
    sections = (config.mft.typicality, TypicalityConfig())
    given, defaults = (section.model_dump(exclude={"batch_size"}) for section in sections)
    return given != defaults
