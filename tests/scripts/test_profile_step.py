import re
import sys

import profile_step
import pytest


@pytest.mark.parametrize("mode", ["train", "predict"])
def test_the_table_names_the_kernels_of_a_step(tmp_path, monkeypatch, capsys, mode):
    rows = [f"it was {word} {number}\t{domain}\t{label}" for number in range(20) for domain in ("inn", "bar", "spa")
            for word, label in (("good", "pos"), ("bad", "neg"))]  # fmt: skip
    (tmp_path / "train.tsv").write_text("".join(f"{row}\n" for row in rows))
    (tmp_path / "config.json").write_text('{"application": "text_classification"}')
    changes = {
        "data.train_files": f'["{tmp_path / "train.tsv"}"]',
        "data.columns": '{"text": 0, "domain": 1, "label": 2}',
        "model.weights": "tests/golden/tiny_bert",
        "train.global_batch_size": "8",
        "data.max_sequence_length": "16",
        "mft.layers": "[0]",
    }
    sets = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    monkeypatch.setattr(profile_step.benchmark_easymft, "PREDICT_BATCH", 8)
    words = ["--config", str(tmp_path / "config.json"), "--mode", mode, "--output", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", ["profile_step.py", *words, "--steps", "4", *sets])
    profile_step.main()
    said = capsys.readouterr().out
    table = {kind: int(calls) for kind, calls in re.findall(r"^\| (\w+) \| (\d+) \| [\d.]+ \| [\d.]+% \|$", said, re.M)}
    assert sum(calls for kind, calls in table.items() if "MatMul" in kind) >= 10
    assert len(table) == 20 and ("ResourceApplyAdam" in table) == (mode == "train")
    assert re.search(r"^A step took \d+ ms, mean of 4\.$", said, re.M)


def test_too_few_rows(tmp_path, monkeypatch):
    words = ["--config", "configs/sample/meta_tune.json", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["profile_step.py", *words])
    monkeypatch.setitem(profile_step.MODES, "train", lambda app, rows, steps, ablations, report: report.step(0, 1))
    with pytest.raises(SystemExit, match="--rows 1600: too few for a step after 3 of warm-up"):
        profile_step.main()
