import importlib.util
import json
from pathlib import Path

import pytest

from easymft.evaluation.metrics import DomainMetrics

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def report():
    spec = importlib.util.spec_from_file_location("quickstart_report", ROOT / "scripts" / "quickstart_report.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_run(file, right_answers):
    """A run with 10 rows of each domain, of which so many are classified rightly."""
    metrics = DomainMetrics(("no", "yes"), ("a", "b"))
    for domain, right in enumerate(right_answers):
        metrics.update([1] * 10, [[0.0, 1.0 if row < right else -1.0] for row in range(10)], [domain] * 10)
    file.write_text(json.dumps({"dev": {}, "test": metrics.result()}))
    return file


def test_table_and_note(report, tmp_path, capsys):
    plain, mft = write_run(tmp_path / "plain.json", [5, 9]), write_run(tmp_path / "mft.json", [8, 9])
    output = tmp_path / "new" / "comparison.md"
    assert report.main(["--output", str(output), f"plain fine-tune={plain}", f"from MFT={mft}"]) == 0
    shown, written = capsys.readouterr().out, output.read_text()
    for text in (" ".join(shown.split()), " ".join(written.split())):
        assert "plain fine-tune" in text and "80.00%" in text and "85.00%" in text
        assert '"from MFT" is above "plain fine-tune" in 1 of 2 domains and below in 0.' in text
        assert "additional steps" in text and "two_stage" in text
        assert "about 29 points" in text  # 2 sqrt(.7 * .3 / 10)


def test_a_run_without_test_metrics(report, tmp_path, capsys):
    (tmp_path / "metrics.json").write_text('{"dev": {}}')
    arguments = ["--output", str(tmp_path / "out.md"), f"a={tmp_path}/metrics.json", f"b={tmp_path}/metrics.json"]
    assert report.main(arguments) == 2
    assert "metrics.json: has dev, expected test metrics" in capsys.readouterr().err
    assert not (tmp_path / "out.md").exists()


def test_a_missing_file(report, tmp_path, capsys):
    assert report.main(["--output", str(tmp_path / "out.md"), "a=none.json", "b=none.json"]) == 2
    assert "none.json" in capsys.readouterr().err
