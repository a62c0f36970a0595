#!/usr/bin/env bash
# Checks the style, the arrows between the packages, and runs the tests: bash scripts/test.sh [arguments of pytest]
# In .venv, or in the virtual environment that EASYMFT_VENV names; it is made where it is missing.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

prepare_environment test
cd "$root"
echo "ruff: style"
"$environment/bin/ruff" check .
echo "import-linter: arrows between the packages"
"$environment/bin/lint-imports"
echo "pytest: tests"
"$environment/bin/python" -m pytest -n 2 --dist loadfile "$@"  # a file's tests share what they trained
