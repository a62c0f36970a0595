"""Trials of metrics and predictions: conventions, order, sums, what becomes of the input."""

import json
import math
import random
import shutil

from compatibility.project import expect, make_rows, refused
from compatibility.trial import Bench, trial


@trial(
    "scikit-learn/scikit-learn/issues/23130",
    "Macro-F1 where a class neither occurs nor is predicted",
    "the mean over classes that occur or are predicted, as scikit-learn without labels=",
)
def macro_f1_without_a_class(bench: Bench) -> str:
    """Checked against the confusion matrix."""
    project = bench.trained()
    path = project.write_rows("one.tsv", [row for row in make_rows(30) if row[2] == "pos"])
    project.accept("evaluate", f'data.test_files=["{path}"]')
    overall = json.loads((project.folder / "run" / "evaluation.json").read_text())["test"]["overall"]
    matrix = overall["confusion_matrix"]
    scores = []
    for index in range(2):
        right, said, true = matrix[index][index], sum(row[index] for row in matrix), sum(matrix[index])
        if said + true:
            scores.append(2 * right / (said + true))
    expect(math.isclose(overall["macro_f1"], sum(scores) / len(scores)), f"{overall['macro_f1']} of {matrix}")
    return f"takes the mean over the classes that occur or are predicted ({overall['macro_f1']:.3f} of {matrix})"


@trial(
    "huggingface/transformers/issues/33728",
    "Predictions in another order than the input",
    "in the order of the input, whatever lengths and batches",
)
def order_of_predictions(bench: Bench) -> str:
    """Rows of very different lengths, in batches of 1, 3 and 64."""
    project = bench.trained()
    draw = random.Random(3)
    rows = [[" ".join(["good book"] * draw.randint(1, 30)) + f" {number}", "book", "pos"] for number in range(40)]
    sets = f'prediction.input_files=["{project.write_rows("new.tsv", rows)}"]'
    runs = [project.predict(sets, f"prediction.batch_size={size}") for size in (1, 3, 64)]
    expect(all([row["text"] for row in run] == [row[0] for row in rows] for run in runs), "the order changed")
    worst = max(
        abs(one["probability_pos"] - two["probability_pos"])
        for run in runs
        for one, two in zip(run, runs[0], strict=True)
    )
    expect(worst < 1e-5, f"probabilities differ by {worst}")
    return f"keeps the order; probabilities do not depend on the batch (at most {worst:.0e})"


@trial(
    "explosion/spaCy/issues/6389", "Scores that seem not to add up to 1, in numbers such as 3e-06", "they add up to 1"
)
def sum_of_probabilities(bench: Bench) -> str:
    """Read from the TSV file as a spreadsheet would."""
    project = bench.trained()
    project.accept("predict")
    names, *lines = (project.folder / "run" / "predictions.tsv").read_text().splitlines()
    where = [index for index, name in enumerate(names.split("\t")) if name.startswith("probability_")]
    sums = [sum(float(line.split("\t")[index]) for index in where) for line in lines]
    expect(all(abs(total - 1) < 1e-5 for total in sums), f"sums {sums[:3]}")
    return "writes probabilities that add up to 1"


@trial(
    "huggingface/setfit/issues/587",
    "Probabilities whose columns are in another order than the labels",
    "each column bears the name of its class; the largest is the predicted one",
)
def names_of_probabilities(bench: Bench) -> str:
    """With data.labels in an order that is not sorted."""
    project = bench.project()
    project.set("data.labels", ["pos", "neg"])
    project.accept("meta_tune", "data.test_files=[]", "train.epochs=4")
    rows = project.predict()
    for row in rows:
        shares = {
            name.removeprefix("probability_"): value for name, value in row.items() if name.startswith("probability_")
        }
        expect(max(shares, key=shares.get) == row["predicted_label"], f"{row}")
    right = sum(row["predicted_label"] == row["label"] for row in rows)
    accuracy = None
    project.accept("evaluate")
    accuracy = json.loads((project.folder / "run" / "evaluation.json").read_text())["test"]["overall"]["accuracy"]
    expect(
        math.isclose(accuracy, right / len(rows)), f"accuracy {accuracy}, {right} of {len(rows)} predictions are right"
    )
    return "names each column after its class; the predictions give the accuracy that evaluate measures"


@trial(
    "ludwig-ai/ludwig/issues/119",
    "Input without the label column",
    "predicted: no label is needed",
)
def input_without_labels(bench: Bench) -> str:
    """And without the domain, which one model for all does not need; columns in another order."""
    project = bench.trained()
    texts = [[f"{number}", "good book"] for number in range(5)]
    rows = project.predict(f'prediction.input_files=["{project.write_rows("new.tsv", texts, ["number", "text"])}"]')
    expect([row["number"] for row in rows] == list("01234"), f"{rows}")
    return "predicts; columns that it does not know are copied"


@trial(
    "huggingface/sentence-transformers/issues/4060",
    "Texts that are longer than the limit of tokens, cut without a word",
    "predict says how many rows were cut",
)
def long_texts_are_cut(bench: Bench) -> str:
    """Validate tells it of train, dev and test files."""
    project = bench.trained()
    path = project.write_rows("new.tsv", [["good " * 200 + "bad", "book", "pos"], ["bad", "book", "neg"]])
    result = project.accept("predict", f'prediction.input_files=["{path}"]')
    said = result.out + result.err
    expect("cut" in said, f"predict says nothing of it: {said}")
    return f"says: {' '.join(said.split())}"


@trial(
    "amaiya/ktrain/issues/213",
    "A trained model that is moved elsewhere and loaded there",
    "the same predictions",
)
def model_that_was_moved(bench: Bench) -> str:
    """Weights and train files are gone."""
    project = bench.trained()
    before = project.predict()
    other = project.copy(project.folder.parent / "elsewhere")
    shutil.rmtree(project.folder)
    for name in ("train.tsv", "dev.tsv"):
        (other.folder / name).unlink()
    shutil.rmtree(other.weights)
    expect(other.predict() == before, "the predictions differ")
    return "predicts the same; neither train files nor the first weights are needed"


@trial(
    "",
    "A wrong folder at prediction time: a model that was never trained",
    "refused: there is no finished run",
)
def prediction_without_training(bench: Bench) -> str:
    """Elsewhere all rows get one class."""
    project = bench.project()
    said = refused(project.run("predict"), ("finished run",))
    said = refused(project.run("predict", f"output_folder={project.weights}"), ("finished run",))
    return f"refused: {said}"


@trial(
    "huggingface/tokenizers/issues/722",
    "Texts in which users write [SEP] or [MASK]",
    "predicted; the same in serving",
)
def special_tokens_in_texts(bench: Bench) -> str:
    """And other letters than the vocabulary's."""
    project = bench.trained()
    texts = ["good [SEP] bad", "[CLS] [MASK] [PAD]", "日本語 😀 é", "​zero width"]
    rows = project.predict(
        f'prediction.input_files=["{project.write_rows("new.tsv", [[t, "book", "pos"] for t in texts])}"]'
    )
    expect(len(rows) == len(texts), f"{len(rows)} rows of {len(texts)}")
    return "predicts them; a SavedModel does the same (see Serving)"


@trial(
    "ludwig-ai/ludwig/issues/1296",
    "Predictions that do not end up where they are expected",
    "the file's name is told; a second time it is written anew",
)
def where_predictions_are(bench: Bench) -> str:
    """In a folder that does not exist yet."""
    project = bench.trained()
    target = project.folder / "new folder" / "deep" / "out.jsonl"
    for _ in range(2):
        result = project.run("predict", f"prediction.output_file={target}")
        if result.code == 2:
            return "refused: " + refused(result, ("output_file",))
    expect(result.code == 0 and "out.jsonl" in result.out, f"exit {result.code}: {result.told}")
    expect(len(target.read_text().splitlines()) == 18, "not 18 rows")
    return "makes the folder, and tells the file's name"
