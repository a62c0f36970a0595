import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors import SafetensorError

import app_zoo.main as command
from app_zoo.registry import MODES
from easymft.errors import DataError

CONFIG = {
    "output_folder": "runs/x",
    "data": {"train_files": ["a.tsv"], "columns": {"label": "label", "domain": "domain"}},
    "model": {"weights": "all-minilm-l6-v2"},
}


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    os.environ.pop("TF_SET_ONEDNN_FPMATH_MODE", None)


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    return str(path)


@pytest.fixture
def runs(monkeypatch):
    """What the application was asked to do; an exception in `runs.error` is raised by it."""

    class Runs(list):
        error = None

    calls = Runs()

    class Application:
        def __init__(self, config):
            self.config = config

        def run(self, mode, dry_run):
            calls.append((mode, dry_run, self.config, os.environ.get("TF_SET_ONEDNN_FPMATH_MODE")))
            if calls.error:
                raise calls.error

    monkeypatch.setattr(command, "resolve_application", lambda name: Application)
    return calls


def test_runs_the_mode(config_file, runs):
    words = ["--mode", "meta_tune", f"--config={config_file}", "--set", "train.epochs=3", "--set", "mft.layers=[1, 2]"]
    assert command.main(words) == 0
    assert command.main([*words, "--dry_run"]) == 0
    assert [(mode, dry_run) for mode, dry_run, *_ in runs] == [("meta_tune", False), ("meta_tune", True)]
    config = runs[0][2]
    assert config.train.epochs == 3
    assert config.mft.layers == [1, 2]
    assert config.mft.corruption == "false_domain"


def test_the_environment_does_not_decide_precision(config_file, runs, capsys, monkeypatch):
    words = ["--mode", "meta_tune", "--config", config_file]
    command.main(words)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("TF_SET_ONEDNN_FPMATH_MODE", "BF16")
    command.main(words)
    assert "TF_SET_ONEDNN_FPMATH_MODE of the environment is not used" in capsys.readouterr().err
    assert [variable for *_, variable in runs] == [None, None]
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] in "23"


def test_dump_config(config_file, runs, capsys, tmp_path):
    assert command.main(["--config", config_file, "--dump_config", "--set", "mft.preset=easytransfer"]) == 0
    dumped = json.loads(capsys.readouterr().out)
    assert dumped["mft"]["typicality"]["decimals"] == 5
    assert runs == []
    assert command.main(["--config", config_file, "--dump_config", "--mode", "predict"]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--config", "x.json"], "--mode is missing; one of validate, typicality, "),
        (["finetnue"], 'unknown mode "finetnue"; did you mean "finetune"?'),
        (["finetune", "my.json"], 'unexpected word "my.json"; did you mean --config my.json?'),
        (["--mode", "finetnue"], 'unknown mode "finetnue"; did you mean "finetune"?'),
        (["--mode", "finetnue", "--help"], 'unknown mode "finetnue"; did you mean "finetune"?'),
        (["--mode", "finetune"], "--config is missing; "),
        (["--mdoe", "finetune"], 'unknown option --mdoe; did you mean "--mode"?'),
        (["--mode"], "Missing value for flag --mode"),
        (["--mode", "predict", "stray"], 'unexpected word "stray"; every option starts with --'),
        (["--dry_run=maybe"], "flag --dry_run=maybe: not a value that it takes"),
        (["--mode", "predict", "--config", "none.json"], "none.json: no such config file"),
    ],
)
def test_mistakes_in_the_command(words, message, capsys, runs):
    assert command.main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"easymft: error: {message}")
    assert captured.err.count("\n") == 1
    assert runs == []


def test_a_mode_needs_no_dashes(config_file, runs):
    assert command.main(["meta_tune", "--config", config_file]) == 0
    assert command.main(["--config", config_file, "finetune"]) == 0
    assert [mode for mode, *_ in runs] == ["meta_tune", "finetune"]


def test_without_words_it_helps(capsys):
    assert command.main([]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("EasyMFT: meta fine-tuning") and captured.err == ""


@pytest.mark.parametrize("program", [["-m", "easymft"], ["-m", "app_zoo.main"]])
def test_version(program):
    result = subprocess.run([sys.executable, *program, "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"easymft \d+\.\d+\.\d+ \(Python 3\.\d+\.\d+, TensorFlow 2\.20\.\d+\)\n", result.stdout)


def test_a_terminal_that_is_not_utf_8(config_file, runs):
    code = "from app_zoo.main import main; main(['--version']); print('h\u00f4tel \u6771\u4eac')"
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
    assert result.stdout.decode("latin-1").splitlines()[1] == "h\u00f4tel ??"


def test_meta_tune_without_domains_names_finetune(config_file, runs, capsys):
    assert command.main(["meta_tune", "--config", config_file, "--set", "data.columns.domain=null"]) == 2
    expected = "expected a column for --mode meta_tune (without domains use --mode finetune), got null"
    assert f"data.columns.domain: {expected}" in capsys.readouterr().err


def test_every_problem_gets_a_line(config_file, capsys, runs):
    words = ["--mode", "predict", "--config", config_file, "--set", "trian.epochs=3", "--set", "train.epochs=x"]
    assert command.main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("easymft: error: ") for line in lines)
    assert runs == []


def test_errors_of_the_run(config_file, runs, capsys):
    words = ["--mode", "meta_tune", "--config", config_file]
    runs.error = DataError("a.tsv: row 3: no label")
    assert command.main(words) == 2
    assert capsys.readouterr().err == "easymft: error: a.tsv: row 3: no label\n"
    runs.error = KeyboardInterrupt()
    assert command.main(words) == 130
    assert capsys.readouterr().err.startswith("easymft: interrupted; the same command goes on")
    runs.error = OSError(errno.ENOSPC, "No space left on device", "runs/x")
    assert command.main(words) == 2
    assert capsys.readouterr().err.startswith("easymft: error: runs/x: No space left on device; make room")
    runs.error = OSError(errno.EFBIG, "File too large")
    assert command.main(words) == 2
    assert capsys.readouterr().err.startswith("easymft: error: the output folder: File too large; make room")
    runs.error = FileNotFoundError(errno.ENOENT, "No such file or directory", "runs/x")
    assert command.main(words) == 2
    assert capsys.readouterr().err == "easymft: error: runs/x: No such file or directory\n"
    runs.error = OSError(errno.EIO, "a broken disk")
    with pytest.raises(OSError, match="a broken disk"):
        command.main(words)
    runs.error = ZeroDivisionError("a defect")
    with pytest.raises(ZeroDivisionError):
        command.main(words)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_to_be_told_to_end_is_an_interrupt(config_file, runs, capsys, monkeypatch, number):
    class Application:
        def __init__(self, config):
            pass

        def run(self, mode, dry_run):
            os.kill(os.getpid(), number)
            time.sleep(10)  # the signal comes first

    monkeypatch.setattr(command, "resolve_application", lambda name: Application)
    assert command.main(["meta_tune", "--config", config_file]) == 130
    assert capsys.readouterr().err.startswith("easymft: interrupted; the same command goes on")
    assert signal.getsignal(number) == signal.SIG_DFL


def test_out_of_memory(config_file, runs, capsys):
    class ResourceExhaustedError(Exception):  # TensorFlow's, by its name
        pass

    words = ["--mode", "meta_tune", "--config", config_file]
    place = "/job:localhost/replica:0/task:0/device:GPU:0"
    runs.error = ResourceExhaustedError(
        "Graph execution error:\n\nDetected at zeros\n\nOOM when allocating tensor with shape[32,512] and type float "
        f"on {place} by allocator GPU_0_bfc\n\t [[{{{{node zeros}}}}]]\nHint: a list of tensors"
    )
    assert command.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    what = f"out of memory: tensor with shape[32,512] and type float on {place}"
    assert line.startswith(f"easymft: error: {what}; less is needed with train.")
    runs.error = MemoryError("Unable to allocate 7 GiB")
    assert command.main(words) == 2
    assert capsys.readouterr().err.startswith("easymft: error: out of memory: Unable to allocate 7 GiB; less is")
    runs.error = ResourceExhaustedError("/runs/x/resume/ckpt-200.data-00000-of-00001; No space left on device")
    assert command.main(words) == 2
    assert capsys.readouterr().err.startswith("easymft: error: the output folder: No space left on device; make room")
    runs.error = SafetensorError("Error while serializing: I/O error: File too large (os error 27)")
    assert command.main(words) == 2
    assert capsys.readouterr().err.startswith("easymft: error: the output folder: File too large; make room")
    runs.error = SafetensorError("Error while serializing: I/O error: Read-only file system (os error 30)")
    assert command.main(words) == 2
    assert capsys.readouterr().err == "easymft: error: the output folder: Read-only file system\n"
    runs.error = ResourceExhaustedError("too many open files")
    with pytest.raises(ResourceExhaustedError):
        command.main(words)


@pytest.mark.parametrize("words", [["--help"], ["-h"], *(["--mode", mode, "--help"] for mode in MODES)])
def test_help(words, capsys):
    assert command.main(words) == 0
    captured = capsys.readouterr()
    assert "easymft --mode" in captured.out
    assert captured.err == ""
    assert max(map(len, captured.out.splitlines())) <= 80


def test_nobody_reads_on():
    """As in `easymft --help | head -0`."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys, app_zoo.main as m; sys.stdin.read(); sys.exit(m.main(['--help']))"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    process.stdout.close()
    process.stdin.close()
    assert (process.stderr.read(), process.wait()) == ("", 2)
    process.stderr.close()


@pytest.mark.parametrize("number", [1, 2])
def test_started_without_a_stream(number):
    """As with `>&-`; files that are opened then do not take the stream's place."""
    code = "import os, app_zoo.main as m; c = m.main(['--mode', 'none']); os._exit(c + (os.open('.', 0) <= 2))"
    result = subprocess.run(
        ["bash", "-c", f'"$0" -c "$1" {number}>&-', sys.executable, code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert ("unknown mode" in result.stderr, result.stderr.count("\n")) == ((True, 1) if number == 1 else (False, 0))


def test_file_names_that_the_locale_cannot_have(config_file, tmp_path):
    """One line says so, in place of a file that seems to be missing, or of bytes taken for a name."""
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    config = json.loads(Path(config_file).read_text(encoding="utf-8"))
    config["output_folder"] = "\u043f\u0430\u043f\u043a\u0430"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(config), encoding="utf-8")
    program = [sys.executable, "-m", "app_zoo.main", "--mode", "finetune", "--config"]
    end = "; set PYTHONUTF8=1 in the environment\n"
    for words, begin in (
        ([other], "output_folder: '\\u043f\\u0430\\u043f\\u043a\\u0430' cannot be a file's name in the locale's"),
        ([config_file, "--set", "output_folder=\u00e9"], "'output_folder=\\udcc3\\udca9': is no text in the locale's"),
    ):
        result = subprocess.run([*program, *words], capture_output=True, text=True, env=environment, check=False)
        assert result.returncode == 2
        assert result.stderr.startswith(f"easymft: error: {begin}")
        assert result.stderr.endswith(end) and result.stderr.count("\n") == 1


def test_the_folder_it_runs_in_is_gone(config_file, tmp_path, monkeypatch, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert command.main(["--mode", "finetune", "--config", config_file]) == 2
    assert capsys.readouterr().err == (
        "easymft: error: the folder that the command runs in has been removed; go to another one (cd)\n"
    )


def test_help_leaves_heavy_libraries_alone():
    """So that it is quick."""
    code = (
        "import sys, app_zoo.main as m; m.main(['--help']);"
        "heavy = {'tensorflow', 'tf_keras', 'pydantic', 'numpy', 'matplotlib', 'rich'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_config_mistakes_are_told_without_tensorflow(config_file):
    code = (
        "import sys, app_zoo.main as m;"
        f"code = m.main(['--mode', 'predict', '--config', {config_file!r}]);"
        "sys.exit('tensorflow imported' if 'tensorflow' in sys.modules else code)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.startswith("easymft: error: ")
