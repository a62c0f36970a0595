"""scripts/probe_domains.py on the small project, whose texts name their domain."""

import json
import sys

import pytest
from probe_domains import main


def run(monkeypatch, trained, *words):
    config = trained.words("typicality")[3]
    monkeypatch.setattr(sys, "argv", ["probe_domains.py", "--config", config, *map(str, words)])
    main()


def test_models_are_compared(trained, tmp_path, monkeypatch, capsys):
    rows = trained.make_rows(120, seed=7)
    dev = trained.write_rows("probed.tsv", rows)
    models = [f"base={trained.folder}/tiny", f"mft={trained.folder}/mft"]
    settings = [f'data.dev_files=["{dev}"]', "runtime.progress=false"]
    run(monkeypatch, trained, "--models", *models, "--output", tmp_path / "probe", "--set", *settings)
    scores = json.loads((tmp_path / "probe/probe.json").read_text())
    assert list(scores) == ["base", "mft"] and all(len(row) == 1 for row in scores.values())
    assert scores["base"] != scores["mft"]
    assert all(0.45 < row[0]["mean"] <= 1.0 for row in scores.values())  # by chance 0.33; the domain's name is a word
    table = (tmp_path / "probe/probe.md").read_text()
    assert f"| base | {100 * scores['base'][0]['mean']:.1f} ± " in table and "the largest domain has 33.3%" in table
    assert table in capsys.readouterr().out and (tmp_path / "probe/probe.png").stat().st_size > 1000


def test_weights_that_are_none(trained, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, trained, "--models", f"x={tmp_path}", "--output", tmp_path / "probe")
    assert stop.value.code == 2 and "no weights here" in capsys.readouterr().err
    assert not (tmp_path / "probe").exists()
