"""--mode finetune: plain fine-tuning of each domain, or of the union, from any weights."""

from pathlib import Path

import numpy as np

from app_zoo.base import Application, Maps
from app_zoo.inputs import load_tokens, plan_steps
from app_zoo.run_folder import RunFolder, part_folder
from app_zoo.run_record import read_part
from app_zoo.stages.evaluate import evaluate_trained, prepare_evaluation, tell_finished
from app_zoo.stages.fitting import Fitting, build_classifier, load_weights, tell_head
from easymft.checksums import write_object
from easymft.data.label_map import LabelMap
from easymft.data.labels import load_maps, save_maps
from easymft.data.token_dataset import TokenDataset
from easymft.errors import ConfigError, DataError
from easymft.model_zoo.averaging import move_to_mean
from easymft.names import cut_name
from easymft.training.resume import remove_state


def run(app: Application) -> None:
    """Fine-tunes a model for each domain in `<output_folder>/<domain>`, or one on all rows in the folder itself."""
    app.config.data.columns.typicality = None  # scores are for the meta fine-tuning; a scored file may be used here too
    if app.folder.check(app.config, "finetune", app.inputs) and not app.dry_run:
        tell_finished(app)
        return
    _tell_other_preset(app)
    maps = _like_those_of_the_weights(app, app.infer_maps())
    parts = _parts(app, maps)
    pretrained = load_weights(app)
    classifier = build_classifier(app, pretrained, maps, app.config.model.head)
    tell_head(app, pretrained, maps)
    tokens = load_tokens(app, "train", maps, pretrained.vocabulary)
    dev_tokens = None
    if app.config.data.dev_files:
        dev_tokens = load_tokens(app, "dev", maps, pretrained.vocabulary)
    _check_rows(parts, tokens, dev_tokens, maps)
    for domain in parts:
        try:
            plan_steps(app, tokens.subset(_rows(tokens, domain, maps)))
        except DataError as error:
            raise DataError(f"domain {domain!r}: {error}") from error
    prepare_evaluation(app, maps, parts, pretrained.vocabulary)
    if not app.dry_run:
        app.folder.claim(app.config, "finetune", app.inputs)
        save_maps(app.folder.path / "maps.json", maps.labels, maps.domains)
    fitting = Fitting(app, classifier, classifier, pretrained, maps, restarts=len(parts) > 1)
    for number, domain in enumerate(parts[:1] if app.dry_run else parts, start=1):
        part = tokens.subset(_rows(tokens, domain, maps))
        dev_part = None if dev_tokens is None else dev_tokens.subset(_rows(dev_tokens, domain, maps))
        _finetune_part(app, fitting, domain, part, dev_part, place=f"{number}/{len(parts)}")
    if app.dry_run:
        return
    _average(app, parts, several=len(maps.domains.names) > 1)
    app.folder.finish(models=parts)
    evaluate_trained(app)


def _run_of_the_weights(app: Application) -> RunFolder | None:
    if app.config.model.weights is None:
        return None
    folder = Path(app.config.model.weights)
    runs = (RunFolder(place) for place in ((folder.parent, folder) if folder.name == "best" else (folder,)))
    return next((run for run in runs if run.is_finished), None)


def _tell_other_preset(app: Application) -> None:
    """A preset decides optimizer, padding and activation too, so the two stages should agree on it."""
    run = _run_of_the_weights(app)
    if run is None:
        return
    theirs, ours = run.read_config().mft.preset, app.config.mft.preset
    if theirs != ours:
        print(f"note: {run.path} was made with mft.preset {theirs}, this run fine-tunes with {ours}", flush=True)


def _like_those_of_the_weights(app: Application, maps: Maps) -> Maps:
    """Classes and domains in the order of the run that the weights are of, where the config leaves them open."""
    run = _run_of_the_weights(app)
    if run is None:
        return maps
    theirs = Maps(*load_maps(run.path / "maps.json"))
    labels, domains = maps.labels, maps.domains
    if app.config.data.labels is None:
        if set(labels.names) <= set(theirs.labels.names):
            labels = theirs.labels
        else:
            print(f"note: the classes are {', '.join(labels)}; those of {run.path}, {', '.join(theirs.labels)}")
    if app.config.data.domains is None:
        known = [name for name in theirs.domains if name in domains]
        domains = LabelMap((*known, *(name for name in domains if name not in known)))
    return Maps(labels, domains)


def _parts(app: Application, maps: Maps) -> list[str]:
    """The models to make: a domain's name for each, "" for one on the union."""
    wanted = app.config.train.domains
    if wanted == "union" or (wanted == "all" and app.config.data.columns.domain is None):
        return [""]
    if wanted == "all":
        return list(maps.domains.names)
    unknown = [domain for domain in wanted if domain not in maps.domains.names]
    if unknown:
        known = ", ".join(maps.domains.names)
        raise ConfigError(f"train.domains: unknown domain {unknown[0]!r}, expected some of {known}")
    return list(wanted)


def _rows(tokens: TokenDataset, domain: str, maps: Maps) -> np.ndarray:
    if domain == "":
        return np.arange(tokens.num_examples)
    return np.flatnonzero(tokens.domain_ids == maps.domains.index(domain))


def _check_rows(parts: list[str], tokens: TokenDataset, dev_tokens: TokenDataset | None, maps: Maps) -> None:
    for domain in parts:
        for name, split in (("train_files", tokens), ("dev_files", dev_tokens)):
            if split is not None and not len(_rows(split, domain, maps)):
                raise DataError(f"data.{name}: no row of domain {domain!r}, expected at least one to fine-tune it")
        if not np.any(tokens.weights[_rows(tokens, domain, maps)]):
            of_domain = f" of domain {domain!r}" if domain else ""
            raise DataError(f"data.train_files: the weight is 0 in every row{of_domain}, expected some that count")


def _average(app: Application, parts: list[str], several: bool) -> None:
    """Moves the parts' best weights towards their mean; goes on where it was interrupted.

    What each was before is kept as `tuned/`, from which the averages are always made.
    """
    share = app.config.train.average_domains
    if share == 0.0:
        return
    if len(parts) == 1:
        if several:
            print("train.average_domains: one model, so there is nothing to average", flush=True)
        return
    folders = [part_folder(app.folder.path, part) for part in parts]
    for folder in folders:
        if not (folder / "tuned").is_dir():
            (folder / "best").rename(folder / "tuned")
    move_to_mean([folder / "tuned" for folder in folders], [folder / "best" for folder in folders], share)


def _finetune_part(
    app: Application,
    fitting: Fitting,
    domain: str,
    tokens: TokenDataset,
    dev_tokens: TokenDataset | None,
    *,
    place: str,
) -> None:
    folder = part_folder(app.work_folder, domain)
    record_file = folder / "training.json"
    if record_file.exists():  # this part was finished before the run was interrupted
        read_part(folder, record_file.name)
        remove_state(folder)
        return
    if domain:
        print(f"domain {cut_name(domain)} ({place})", flush=True)
    folder.mkdir(exist_ok=True, parents=True)
    record = fitting.train(folder, tokens, dev_tokens)
    if not app.dry_run:
        write_object(record_file, record)
        remove_state(folder)
