"""Which stages an experiment trains for which method, amount and seed."""

from typing import get_args

import pytest

from app_zoo.experiment.methods import METHODS
from app_zoo.experiment.plan import plan_jobs
from easymft.config.presets import resolve_presets
from easymft.config.schema import ComparisonConfig, ExperimentConfig, MethodName, MFTConfig


def test_every_method_passes_as_often_over_its_examples(plan):
    jobs = plan(methods=list(METHODS), joint_epochs=2, finetune_epochs=3)
    assert len(jobs) == len(METHODS)
    for job in jobs:
        epochs = [stage.settings["train.epochs"] for stage in (job.joint, job.final) if stage is not None]
        assert sum(epochs) == 5, job
        assert epochs in ([5], [2, 3])


def test_methods_share_a_joint_stage_only_where_it_is_the_same(plan):
    jobs = {job.method: job for job in plan(methods=list(METHODS))}
    names = {method: job.joint.name for method, job in jobs.items() if job.joint}
    shared = {"two_stage_averaged": "two_stage", "mft_full_averaged": "mft_full"}
    for one, other in shared.items():
        assert names.pop(one) == names[other]
    assert len(set(names.values())) == len(names)  # mix has more epochs than two_stage's first stage
    again = plan(methods=["two_stage"], shares=[0.1, 0.5], setting="all_then_few")
    assert again[0].joint == again[1].joint and again[0].final != again[1].final
    assert again[0].joint.settings == jobs["two_stage"].joint.settings


@pytest.mark.parametrize(
    ("setting", "in_joint", "in_final"),
    [("all_then_few", False, True), ("few_both", True, True), ("unseen_target", False, True)],
)
def test_where_labels_are_few(setting, in_joint, in_final, plan):
    jobs = plan(methods=["mft_full"], shares=[0.05], setting=setting)
    assert [job.domains for job in jobs] == (
        [("a",), ("b",), ("c",)] if setting == "unseen_target" else [("a", "b", "c")]
    )
    for job in jobs:
        assert ("data.subset.share" in job.joint.settings, "data.subset.share" in job.final.settings) == (
            in_joint,
            in_final,
        )
        # The dev rows of both stages are of the same seed, where these are few.
        assert job.joint.settings["data.subset.seed"] == job.final.settings["data.subset.seed"] == 1
        excluded = job.joint.settings.get("data.subset.exclude_domains", [])
        assert excluded == (list(job.domains) if setting == "unseen_target" else [])
        assert str(job.amount) == "5%" and job.keys()[0]["amount"] == "5%"


def test_a_variant_is_a_method_with_settings_and_epochs_of_its_own(plan):
    variants = {
        "strong": {"settings": {"mft.domain_loss_weight": 1.0}},
        "short": {"method": "two_stage", "joint_epochs": 1, "finetune_epochs": 4},
        "theirs": {"method": "mix", "settings": {"mft.preset": "easytransfer"}},
        "averaged": {"finetune_settings": {"train.average_domains": 1.0}},
    }
    jobs = {job.method: job for job in plan(methods=["mft_full"], variants=variants, joint_epochs=2, finetune_epochs=3)}
    assert list(jobs) == ["mft_full", *variants]
    full, strong, short, theirs, averaged = jobs.values()
    assert averaged.joint == full.joint
    assert (averaged.final, averaged.average_share, full.average_share) == (full.final, 1.0, 0.0)
    changed = {"mft.domain_loss_weight": 1.0}
    assert strong.joint.settings == full.joint.settings | changed
    assert strong.final.settings == full.final.settings | changed | {"model.weights": strong.joint.name}
    assert strong.joint.name != full.joint.name
    assert short.joint.settings["train.epochs"] == 1 and short.final.settings["train.epochs"] == 4
    assert short.joint.settings["mft.weighting"] == "none"
    assert theirs.final is None and theirs.joint.settings["train.epochs"] == 5
    # What the experiment's own preset has chosen gives way.
    assert theirs.joint.settings["mft.corruption"] is None and theirs.joint.settings["mft.weighting"] == "none"


def test_a_method_says_whether_domains_are_averaged_whatever_the_preset(plan):
    variants = {
        "quarter": {"method": "two_stage", "settings": {"train.average_domains": 0.25}},
        "half": {"method": "two_stage", "finetune_settings": {"train.average_domains": 0.5}},
        "theirs": {"method": "two_stage", "settings": {"mft.preset": "recommended"}},
        "strong": {"method": "mft_full_averaged", "settings": {"mft.domain_loss_weight": 1.0}},
    }
    apart = ["single", "two_stage", "mft_full"]
    averaged = ["two_stage_averaged", "mft_full_averaged", "strong"]
    jobs = plan(methods=apart + averaged[:2], variants=variants)
    shares = {job.method: job.average_share for job in jobs}
    of_variants = {"quarter": 0.25, "half": 0.5, "theirs": 0.5}
    assert shares == dict.fromkeys(apart, 0.0) | dict.fromkeys(averaged, 0.5) | of_variants
    # It is measured of what all of them train, which is not averaged.
    assert {job.final.settings["train.average_domains"] for job in jobs} == {0.0}
    by_method = {job.method: job for job in jobs}
    shared = [("two_stage", name) for name in ("two_stage_averaged", "quarter", "half")]
    for one, other in [*shared, ("mft_full", "mft_full_averaged")]:
        assert by_method[one].final == by_method[other].final
    assert set(get_args(MethodName)) == set(METHODS)


def test_an_average_is_of_all_domains_whichever_are_tested(plan):
    jobs = plan(methods=["two_stage", "two_stage_averaged"], tested=["a"])
    assert [job.final.settings["train.domains"] for job in jobs] == [["a"], "all"]
    assert [job.domains for job in jobs] == [("a",), ("a",)]


def test_an_unseen_target_joins_the_domains_that_are_excluded_anyway():
    comparison = ComparisonConfig(methods=["two_stage"], setting="unseen_target")
    config = ExperimentConfig(output_folder="x", experiment=comparison)
    config.data.subset.exclude_domains = ["b"]
    (job,) = plan_jobs(config, ["a"], [1], {("two_stage", "unseen_target", "100%"): [1e-3]})
    assert job.joint.settings["data.subset.exclude_domains"] == ["b", "a"]


def test_a_subset_is_of_the_seed(plan):
    first, second = (
        job.final.settings for job in plan(methods=["single"], shares=[0.1], setting="few_both", seeds=(1, 2))
    )
    assert (first["data.subset.seed"], second["data.subset.seed"]) == (1, 2)


def test_a_preset_without_an_average_fine_tunes_the_tested_domains_alone(plan):
    variants = {name: {"settings": {"mft.preset": name}} for name in ("paper", "recommended")}
    jobs = {job.method: job for job in plan(methods=["mft_full"], variants=variants, tested=["a"])}
    domains = {method: job.final.settings["train.domains"] for method, job in jobs.items()}
    assert domains == {"mft_full": ["a"], "paper": ["a"], "recommended": "all"}


@pytest.mark.parametrize(
    ("settings", "expected"), [({}, 0.1), ({"preset": "paper"}, 0.1), ({"domain_loss_weight": 2.0}, 2.0)]
)
def test_a_method_with_corruption_has_it_whatever_the_preset(settings, expected):
    comparison = ComparisonConfig(methods=["two_stage", "mft_dc", "mft_tw", "mft_full"])
    mft = MFTConfig(**settings)
    config = resolve_presets(ExperimentConfig(output_folder="x", experiment=comparison, mft=mft))
    rates = {(method, "full", "100%"): [1e-3] for method in comparison.methods}
    jobs = {job.method: job for job in plan_jobs(config, ["a", "b"], [1], rates)}
    found = {method: job.joint.settings["mft.domain_loss_weight"] for method, job in jobs.items()}
    assert found == {"two_stage": 0.0, "mft_dc": expected, "mft_tw": 0.0, "mft_full": expected}
    weighting = {method: job.joint.settings["mft.weighting"] for method, job in jobs.items()}
    assert weighting == {"two_stage": "none", "mft_dc": "none", "mft_tw": "typicality", "mft_full": "typicality"}
