"""--mode meta_tune: one model on all domains; rows weigh by typicality, domains are corrupted, or neither."""

from collections.abc import Sequence

import numpy as np
import tf_keras

from app_zoo.base import Application, Maps
from app_zoo.inputs import load_tokens, plan_steps
from app_zoo.stages.evaluate import evaluate_trained, prepare_evaluation, tell_finished
from app_zoo.stages.fitting import Fitting, build_classifier, load_weights, tell_head
from app_zoo.stages.typicality import check_embedding, score, tell_negative, write_overview
from easymft.baselines.adversarial import AdversarialClassifier, domain_loss_at_chance
from easymft.baselines.multi_task import MultiTaskClassifier
from easymft.config.presets import PRESET_TYPICALITY_FIELDS
from easymft.data.labels import save_maps
from easymft.data.token_dataset import TokenDataset
from easymft.errors import ConfigError, DataError
from easymft.mft.domain_corruption import domain_loss_floor, resolve_layers
from easymft.mft.loss import MetaFineTuningLoss
from easymft.mft.model import MetaFineTuner
from easymft.model_zoo.pretrained import PretrainedModel
from easymft.modeling.classifier import TextClassifier
from easymft.training.resume import remove_state


def run(app: Application) -> None:
    """Leaves `best/`, `last/`, TensorBoard events, and `typicality/` where it is used, in the output folder."""
    if app.folder.check(app.config, "meta_tune", app.inputs) and not app.dry_run:
        tell_finished(app)
        return
    maps = app.infer_maps()
    check_domains(app, maps.domains.names)
    pretrained = load_weights(app)
    if _uses_typicality(app) and app.config.data.columns.typicality is None:
        check_embedding(app, pretrained)
    network, classifier = build_network(app, pretrained, maps)
    tell_head(app, pretrained, maps)
    tokens = load_tokens(app, "train", maps, pretrained.vocabulary)
    dev_tokens = None
    if app.config.data.dev_files:
        dev_tokens = load_tokens(app, "dev", maps, pretrained.vocabulary)
        if not dev_tokens.num_examples:
            known = ", ".join(maps.domains.names)
            raise DataError(f"data.dev_files: no row of a domain that is trained on ({known}), expected at least one")
    _check_weights(app, tokens)
    if app.dry_run:
        tokens = tokens.subset(np.arange(min(tokens.num_examples, 2 * app.config.train.global_batch_size)))
    plan_steps(app, tokens, one_domain=isinstance(network, MultiTaskClassifier))  # says now if there are too few rows
    parts = list(maps.domains) if isinstance(network, MultiTaskClassifier) else [""]
    prepare_evaluation(app, maps, parts, pretrained.vocabulary)
    if not app.dry_run:
        app.folder.claim(app.config, "meta_tune", app.inputs)
        save_maps(app.folder.path / "maps.json", maps.labels, maps.domains)
    typicality = _typicality(app, pretrained, tokens, maps)
    record = Fitting(app, network, classifier, pretrained, maps).train(
        app.work_folder, tokens, dev_tokens, typicality, _floor(app, tokens, maps, typicality)
    )
    if not app.dry_run:
        app.folder.finish(models=parts, training=record)
        remove_state(app.folder.path)
        evaluate_trained(app)


def check_domains(app: Application, names: Sequence[str]) -> None:
    """Raises ConfigError if the config needs several domains and `names` is of one, or if there is none."""
    if len(names) > 1:
        return
    if not names:
        raise ConfigError("data.subset.exclude_domains: no domain is left to train on, expected at least one")
    if app.config.baseline.method != "none":
        raise ConfigError(
            f"baseline.method: {app.config.baseline.method} needs at least 2 domains, the train files hold only "
            f"{names[0]!r}; use --mode finetune"
        )
    if app.config.mft.domain_loss_weight > 0.0:
        raise ConfigError(
            f"mft.domain_loss_weight: domain corruption needs at least 2 domains, the train files hold only "
            f"{names[0]!r}; set mft.domain_loss_weight to 0, or use --mode finetune"
        )


def build_network(app: Application, pretrained: PretrainedModel, maps: Maps) -> tuple[tf_keras.Model, TextClassifier]:
    """The meta fine-tuner or the baseline of the config, under the run's strategy, and the classifier in it."""
    mft, baseline = app.config.mft, app.config.baseline
    classifier = build_classifier(app, pretrained, maps, app.config.model.head)
    sizes = {"num_domains": len(maps.domains.names), "width": pretrained.config.hidden_size}
    with app.strategy.scope():
        if baseline.method == "adversarial":
            strength = {"weight": baseline.adversarial_weight, "gamma": baseline.adversarial_gamma}
            return AdversarialClassifier(classifier, **sizes, **strength, seed=app.config.runtime.seed), classifier
        if baseline.method == "multi_task":
            return MultiTaskClassifier(classifier, num_domains=len(maps.domains.names)), classifier
        network = MetaFineTuner(
            classifier,
            **sizes,
            layers=resolve_layers(mft.layers, pretrained.config.num_layers),
            loss=MetaFineTuningLoss(mft.domain_loss_weight, mft.normalization),
            weighting=mft.weighting,
            corruption=mft.corruption,
            domain_weighting=mft.domain_weighting,
            layer_pooling=mft.layer_pooling,
            shared_classifier=mft.domain_classifier == "shared",
            seed=app.config.runtime.seed,
        )
    return network, classifier


def _uses_typicality(app: Application) -> bool:
    return app.config.mft.weighting == "typicality" and app.config.baseline.method == "none"


def _check_weights(app: Application, tokens: TokenDataset) -> None:
    scored = app.config.data.columns.typicality is not None and _uses_typicality(app)
    if not np.any(tokens.weights * tokens.typicality if scored else tokens.weights):
        what = "weight times typicality" if scored else "the weight"
        raise DataError(f"data.train_files: {what} is 0 in every row, expected some that count")


def _typicality(app: Application, pretrained: PretrainedModel, tokens: TokenDataset, maps: Maps) -> np.ndarray | None:
    if not _uses_typicality(app):
        if app.config.data.columns.typicality is not None:
            print("note: data.columns.typicality: not used, as nothing is weighted by it here", flush=True)
        return None
    if app.config.data.columns.typicality is not None:
        if app.config.mft.typicality.model_fields_set - PRESET_TYPICALITY_FIELDS:
            print("typicality: the scores are those of the file; mft.typicality is not used", flush=True)
        typicality = tokens.typicality
    else:
        scores = score(app, pretrained, tokens, maps)
        typicality = scores.typicality
        if not app.dry_run:
            write_overview(app, scores, tokens, maps, app.folder.path / "typicality")
    if app.config.mft.typicality.permute:
        typicality = np.random.default_rng(app.config.runtime.seed).permutation(typicality)
    tell_negative(typicality)
    return typicality


def _floor(app: Application, tokens: TokenDataset, maps: Maps, typicality: np.ndarray | None) -> float | None:
    """Where the domain loss settles if the encoder gives nothing away, in the scale of its weights w."""
    mft = app.config.mft
    if app.config.baseline.method == "adversarial":
        return domain_loss_at_chance(len(maps.domains.names))
    if mft.domain_loss_weight == 0.0 or app.config.baseline.method == "multi_task":
        return None
    weights = tokens.weights
    if typicality is not None and mft.domain_weighting == "typicality":
        weights = weights * typicality
    counts = np.bincount(tokens.domain_ids, minlength=len(maps.domains.names))
    return domain_loss_floor(counts.tolist(), mft.corruption) * float(weights.mean())
