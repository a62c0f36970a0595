"""Trials of configs: unknown keys, types, numbers, broken JSON."""

from compatibility.project import Result, expect, refused
from compatibility.trial import Bench, trial


def _with_config(bench: Bench, change: tuple[str, str], mode: str = "validate") -> Result:
    """Runs a config whose text was changed by hand."""
    project = bench.project()
    words = project.words(mode)
    config = project.folder / "config.json"
    before = config.read_text()
    expect(change[0] in before, f"the config does not hold {change[0]}")
    config.write_text(before.replace(*change))
    return project.run_words(words)


@trial(
    "LabeliaLabs/distributed-learning-contributivity/issues/184",
    "A mistyped setting that is ignored, so that the default holds",
    "refused with the nearest one that there is",
)
def mistyped_setting(bench: Bench) -> str:
    """In the file, and in --set."""
    said = refused(_with_config(bench, ('"epochs"', '"epoch"')), ("epoch", "epochs"))
    refused(bench.project().run("validate", "train.learningrate=1"), ("learningrate", "learning_rate"))
    return f"refused: {said}"


@trial("ultralytics/ultralytics/issues/16531", "A setting's name with a space behind it", "refused, the space visible")
def space_behind_a_name(bench: Bench) -> str:
    """Quoted, so that it can be seen."""
    said = refused(_with_config(bench, ('"epochs"', '"epochs "')), ("epochs",))
    expect('epochs "' in said or "epochs '" in said, f"the space cannot be seen: {said}")
    return f"refused: {said}"


@trial(
    "hiyouga/LlamaFactory/issues/4014",
    "A learning rate such as 2e-5 that is read as a text",
    "a number; a text is refused",
)
def rates_with_exponents(bench: Bench) -> str:
    """1e-5, 1E-5, and "1e-5"."""
    for text in ("2e-5", "2E-5", "2e-05"):
        result = _with_config(bench, ("0.001", text))
        expect(result.code == 0, f"{text}: {result.told}")
        bench.project().accept("validate", f"train.learning_rate={text}")
    said = refused(_with_config(bench, ("0.001", '"2e-5"')), ("learning_rate", "number"))
    return f"reads 2e-5 as a number, in the file and with --set; as a text refused: {said}"


@trial(
    "unslothai/unsloth/pull/10452",
    "JSON with comments, a trailing comma or single quotes",
    "refused with line and column",
)
def broken_json(bench: Bench) -> str:
    """Python's parser says where."""
    for change in (('"train": {', '"train": { // more\n'), ('"epochs": 1,', '"epochs": 1,,'), ('"epochs"', "'epochs'")):
        said = refused(_with_config(bench, change), ("line", "column", "JSON"))
    return f"refused: {said}"


@trial(
    "huggingface/accelerate/pull/4104",
    'Truth that is guessed: "false", 0, "no", null',
    "true and false alone; anything else is refused",
)
def truth_in_quotes(bench: Bench) -> str:
    """Text "false" is true elsewhere; and 0 is not false."""
    for text in ('"false"', "0", '"no"'):
        said = refused(_with_config(bench, ('"progress": false', f'"progress": {text}')), ("progress",))
    refused(bench.project().run("validate", "runtime.progress=False"), ("progress",))
    return f"refused: {said}"


@trial(
    "foundation-model-stack/fms-hf-tuning/issues/420",
    "An option of the command line that does not exist, left out silently",
    "refused with the nearest one",
)
def mistyped_option(bench: Bench) -> str:
    """--confg, --train.epochs=3."""
    project = bench.project()
    words = project.words("validate")
    said = refused(project.run_words([*words, "--train.epochs=3"]), ("--train.epochs",))
    refused(project.run_words([*words, "--dryrun"]), ("--dry_run",))
    return f"refused: {said}"


@trial(
    "keras-team/keras-io/issues/1502",
    "Numbers of another kind: 2.5 epochs, a batch of 0, negative or infinite rates",
    "refused with what is expected",
)
def numbers_of_another_kind(bench: Bench) -> str:
    """One line for each."""
    project = bench.project()
    for one in (
        "train.epochs=2.5",
        "train.global_batch_size=0",
        "train.learning_rate=-1",
        "train.learning_rate=Infinity",
        "train.warmup_fraction=2",
        "runtime.seed=-1",
        "train.epochs=null",
    ):
        said = project.refuse("validate", one, words=(one.split("=")[0],))
    return f"refused, for instance: {said}"
