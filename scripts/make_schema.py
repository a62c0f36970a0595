"""Writes configs/schema.json anew: python scripts/make_schema.py [--check]."""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from easymft.config.loading import config_json_schema  # noqa: E402
from easymft.files import replacing  # noqa: E402

SCHEMA_FILE = ROOT / "configs" / "schema.json"


def render_schema() -> str:
    """Returns the text that belongs in configs/schema.json."""
    return json.dumps(config_json_schema(), indent=2) + "\n"


def main() -> int:
    """Writes the file, or with --check returns 1 where it is not current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the file is current")
    if parser.parse_args().check:
        return 0 if SCHEMA_FILE.is_file() and SCHEMA_FILE.read_text(encoding="utf-8") == render_schema() else 1
    with replacing(SCHEMA_FILE) as part:
        part.write_text(render_schema(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
