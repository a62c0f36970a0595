"""Models by Hugging Face name, from a server on this machine."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from easymft.errors import CheckpointError
from easymft.model_zoo.hub import fetch_from_hub, looks_like_hub_name

ROOT = Path(__file__).parent.parent.parent

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serve_model(name: str, folder: Path, refusal: tuple[int, str] | None = None):
    """Stands in for the hub on 127.0.0.1 with one model; yields (endpoint, names of the files asked for).

    A refusal is the status and error code of every answer.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

        def answer(self, status, body, headers=(), send_body=True):
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **dict(headers)}.items():
                self.send_header(key, value)
            self.end_headers()
            if send_body:
                self.wfile.write(body)

        def respond(self, send_body):
            path = unquote(urlparse(self.path).path)
            if refusal is not None:
                return self.answer(refusal[0], b"{}", {"X-Error-Code": refusal[1]} if refusal[1] else {}, send_body)
            if path.startswith(f"/api/models/{name}/tree/"):
                files = [
                    {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": COMMIT} for file in listing
                ]
                return self.answer(200, json.dumps(files).encode(), {"Content-Type": "application/json"}, send_body)
            if path in (f"/api/models/{name}", f"/api/models/{name}/revision/main"):
                siblings = [{"rfilename": file.name} for file in listing]
                info = {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "tags": [], "private": False}
                return self.answer(200, json.dumps(info).encode(), {"Content-Type": "application/json"}, send_body)
            file = folder / path.rpartition("/")[2]
            if path.startswith(f"/{name}/resolve/") and file.is_file():
                asked.append(file.name)
                body = file.read_bytes()
                etag = hashlib.sha256(body).hexdigest()
                return self.answer(200, body, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, send_body)
            return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "not here"}, send_body)

        def do_GET(self):
            self.respond(True)

        def do_HEAD(self):
            self.respond(False)

    listing = sorted(folder.iterdir())
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# In a process of its own, as the library reads its settings when it is imported.
FETCH = """
import sys
from easymft.errors import CheckpointError
from easymft.model_zoo.hub import fetch_from_hub
try:
    print(fetch_from_hub(sys.argv[1]))
except CheckpointError as error:
    sys.exit(f"CheckpointError: {error}")
"""
LOAD = """
import sys
from easymft.config.schema import ModelConfig
from easymft.model_zoo.pretrained import load_pretrained
model = load_pretrained(ModelConfig(weights=sys.argv[1]), seed=0)
print(model.source, model.config.hidden_size)
"""


def run(code, name, endpoint, cache, **environment):
    variables = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1", **environment}
    variables["PYTHONPATH"] = str(ROOT)
    return subprocess.run(
        [sys.executable, "-c", code, name], env=variables, capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def served(tiny_copy):
    """The tiny BERT as a hub's model, with a pickle and other things that must not be taken."""
    for other in ("pytorch_model.bin", "tf_model.h5", "README.md", "rust_model.ot"):
        (tiny_copy / other).write_bytes(b"not wanted")
    with serve_model("someone/tiny", tiny_copy) as (endpoint, asked):
        yield endpoint, asked


def test_fetches_only_what_is_needed_and_then_works_offline(served, tmp_path, tiny):
    endpoint, asked = served
    result = run(LOAD, "someone/tiny", endpoint, tmp_path / "cache")
    assert result.returncode == 0, result.stderr
    assert "Hugging Face model someone/tiny" in result.stdout and result.stdout.strip().endswith(" 32")
    assert set(asked) == {"config.json", "vocab.txt", "tokenizer_config.json", "model.safetensors"}
    offline = run(FETCH, "someone/tiny", "http://127.0.0.1:1", tmp_path / "cache", HF_HUB_OFFLINE="1")
    assert offline.returncode == 0, offline.stderr
    folder = Path(offline.stdout.strip())
    assert (folder / "model.safetensors").read_bytes() == (tiny / "model.safetensors").read_bytes()


@pytest.mark.parametrize("offline", ["0", "1"])
def test_model_that_is_not_there_is_one_clear_line(served, tmp_path, offline):
    result = run(FETCH, "someone/tinny", served[0], tmp_path / "cache", HF_HUB_OFFLINE=offline)
    lines = result.stderr.strip().splitlines()
    assert result.returncode == 1 and len(lines) == 1, result.stderr
    assert lines[0].startswith("CheckpointError: someone/tinny: cannot be fetched from the Hugging Face hub (")
    reason = "the hub is not reached, and the model is not in its cache" if offline == "1" else "there is no such model"
    assert reason in lines[0] and len(lines[0]) < 200


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (403, "GatedRepo", "it is gated: accept its terms at https://huggingface.co/someone/tiny, and set HF_TOKEN"),
        (401, "RepoNotFound", "there is no such model, or it is private: then set HF_TOKEN"),
        (403, "", "it may not be read, HTTP status 403: set HF_TOKEN"),
        (500, "", "HTTP status 500"),
    ],
)
def test_a_refusal_is_one_clear_line(tiny_copy, tmp_path, status, code, reason):
    with serve_model("someone/tiny", tiny_copy, (status, code)) as (endpoint, _):
        result = run(FETCH, "someone/tiny", endpoint, tmp_path / "cache")
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith(f"CheckpointError: someone/tiny: cannot be fetched from the Hugging Face hub ({reason}")


@pytest.mark.parametrize(
    ("file", "what"),
    [
        ("pytorch_model.bin", "but pytorch_model.bin (PyTorch's format; EasyMFT reads no pickles"),
        ("tf_model.h5", "but tf_model.h5 (Keras' format)"),
        ("adapter_config.json", "but adapter_config.json (an adapter"),
        ("notes.md", "; found config.json, notes.md, tokenizer_config.json, vocab.txt"),
    ],
)
def test_a_model_in_another_format_is_named(tiny_copy, tmp_path, file, what):
    """Such files are left out before anybody looks at them, so the hub is asked for the names of all."""
    (tiny_copy / "model.safetensors").rename(tiny_copy / file)
    with serve_model("someone/tiny", tiny_copy) as (endpoint, asked):
        result = run(FETCH, "someone/tiny", endpoint, tmp_path / "cache")
    line = result.stderr.strip().splitlines()[-1]  # after a progress bar
    start = "CheckpointError: someone/tiny: the Hugging Face hub has no model.safetensors of it"
    assert line.startswith(start) and what in line and file not in asked


def test_without_a_home_folder_no_folder_named_tilde_is_made(served, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = f"import pwd\npwd.getpwuid = lambda uid: {{}}[uid]\nimport os\ndel os.environ['HOME']\n{FETCH}"
    result = run(code, "someone/tiny", served[0], "~/hub")
    assert "someone/tiny: there is no home folder to keep it in; set HF_HOME in the environment" in result.stderr
    assert not (tmp_path / "~").exists()


def test_server_that_is_not_there_is_one_clear_line(tmp_path):
    result = run(FETCH, "someone/tiny", "http://127.0.0.1:1", tmp_path / "cache")
    assert result.stderr.strip().splitlines()[-1].startswith("CheckpointError: someone/tiny: cannot be fetched")


def test_whatever_the_http_library_raises_is_one_clear_line(monkeypatch):
    """Each release of huggingface_hub may be built on another, whose errors are no OSError."""

    def fetch(name, allow_patterns):
        raise RuntimeError("Request URL is missing an 'http://'\nor 'https://' protocol")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    with pytest.raises(CheckpointError, match=r"owner/model: cannot be .*\(RuntimeError: Request URL is missing"):
        fetch_from_hub("owner/model")


def test_names():
    assert all(map(looks_like_hub_name, ["bert-base-uncased", "sentence-transformers/all-MiniLM-L6-v2", "a/b_c.d"]))
    assert not any(map(looks_like_hub_name, ["/a/b", "a/b/c", "./a", "../a", "a//b", "a b", "a--b/c", "", "~/a"]))


def test_a_path_is_no_name():
    with pytest.raises(CheckpointError, match=r"/no/such/folder: no name of the Hugging Face hub"):
        fetch_from_hub("/no/such/folder")
