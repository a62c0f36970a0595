import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_schema_file_is_current():
    spec = importlib.util.spec_from_file_location("make_schema", ROOT / "scripts" / "make_schema.py")
    make_schema = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_schema)
    current = (ROOT / "configs" / "schema.json").read_text(encoding="utf-8")
    assert current == make_schema.render_schema(), "run: python scripts/make_schema.py"
