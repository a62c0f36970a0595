import json
import shlex
from pathlib import Path

from easymft.export.serving_commands import curl_command, docker_command, models_config, name_models


def request(command):
    words = shlex.split(command)
    return words[-1], json.loads(words[words.index("-d") + 1])


def test_names_can_stand_in_a_url_and_differ():
    names = name_models(["books", "sports & outdoors", "sports + outdoors", "東京", "..", "a.b"])
    assert names == ["books", "sports_outdoors", "sports_outdoors_2", "model", "model_2", "a.b"]


def test_curl():
    url, body = request(curl_command("amazon", pair=False))
    assert url == "http://localhost:8501/v1/models/amazon:predict"
    assert body["signature_name"] == "serving_default"
    assert [set(instance) for instance in body["instances"]] == [{"text"}]
    url, body = request(curl_command("mnli", pair=True, signature="embeddings"))
    assert body["signature_name"] == "embeddings"
    assert [set(instance) for instance in body["instances"]] == [{"text", "text_pair"}]


def test_docker_with_one_model(tmp_path):
    words = shlex.split(docker_command(tmp_path / "my runs", "amazon", several=False))
    assert words[words.index("-v") + 1] == f"{tmp_path}/my runs:/models/amazon"
    assert words[words.index("-e") + 1] == "MODEL_NAME=amazon" and words[-1] == "tensorflow/serving"


def test_docker_with_several_models():
    words = shlex.split(docker_command(Path("x"), "amazon", several=True))
    assert words[words.index("-v") + 1] == f"{Path('x').resolve()}:/models/amazon"
    assert words[-1] == "--model_config_file=/models/amazon/models.config" and "MODEL_NAME=amazon" not in words


def test_models_config():
    text = models_config("/models/run", {"books": "books", "a_b": "a%2Fb c"})
    assert text == (
        "model_config_list {\n"
        '  config { name: "books" base_path: "/models/run/books" model_platform: "tensorflow" }\n'
        '  config { name: "a_b" base_path: "/models/run/a%2Fb c" model_platform: "tensorflow" }\n'
        "}\n"
    )
