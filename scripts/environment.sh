# Sourced by quickstart.sh and test.sh. `prepare_environment [EXTRA]` leaves in $environment the path of a virtual environment
# that holds this checkout, and makes it first where it is missing: .venv, or the folder that EASYMFT_VENV names.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

fail() {
  echo "error: $*" >&2
  exit 1
}

is_python_311() {
  [ "$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "3.11" ]
}

find_python() {
  local name seen=""
  for name in python3.11 python3 python; do
    if is_python_311 "$name"; then
      command -v "$name"
      return
    fi
    seen="$seen $name: $("$name" --version 2>/dev/null || echo none);"
  done
  fail "Python 3.11 is needed and was not found (${seen# }) Install it, then run this again."
}

prepare_environment() {
  local extra="${1:-}" python stamp wanted
  environment="${EASYMFT_VENV:-$root/.venv}"
  if ! "$environment/bin/python" -m pip --version >/dev/null 2>&1; then
    python="$(find_python)"
    echo "Making a virtual environment in $environment"
    "$python" -m venv "$environment" || fail "$python -m venv failed; on Debian and Ubuntu: apt-get install python3.11-venv"
  fi
  environment="$(cd "$environment" && pwd)"
  is_python_311 "$environment/bin/python" ||
    fail "$environment is of $("$environment/bin/python" --version), expected Python 3.11; remove it or set EASYMFT_VENV"
  # The stamp says what was installed last: this checkout, as its setup.py then was. A broken-off install leaves none.
  stamp="$environment/easymft_installed${extra:+_$extra}"
  wanted="$root $(cksum <"$root/setup.py")"
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "Installing EasyMFT and its libraries into $environment (TensorFlow among them: a few minutes, once)"
    rm -f "$stamp"
    "$environment/bin/python" -m pip install -qq --disable-pip-version-check -e "$root${extra:+[$extra]}"
    echo "$wanted" | tee "$environment/easymft_installed" >"$stamp"
  fi
}
