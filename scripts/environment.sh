# Sourced by quickstart.sh and test.sh. `prepare_environment [EXTRA]` leaves in $environment the path of a virtual environment
# that holds this checkout, and makes it first where it is missing: .venv, or the folder that EASYMFT_VENV names.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

fail() {
  echo "error: $*" >&2
  exit 1
}

# 3.11 comes first: the results and benchmarks were made with it. 3.10 comes last: its own support has ended.
named_pythons="python3.11 python3.12 python3.13 python3.10"
expected="Python 3.10 to 3.13"

takes_python() {
  case "$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" in
    3.10 | 3.11 | 3.12 | 3.13) ;;
    *) return 1 ;;
  esac
}

find_python() {
  local name seen=""
  for name in $named_pythons python3 python; do
    if takes_python "$name"; then
      command -v "$name"
      return
    fi
    seen="$seen $name: $("$name" --version 2>/dev/null || echo none);"
  done
  fail "$expected is needed and was not found (${seen# }) Install one, then run this again."
}

# The newest pip, since the one that comes with Python 3.10 finds no versions that go together. Where Python comes without
# ensurepip, which puts pip into an environment (Debian packs it apart), its own pip does that.
make_environment() {
  if "$1" -c 'import ensurepip' 2>/dev/null; then
    "$1" -m venv --upgrade-deps "$environment"
  else
    "$1" -m venv --without-pip "$environment" && "$1" -m pip --python "$environment/bin/python" install -qq pip
  fi
}

prepare_environment() {
  local extra="${1:-}" python stamp wanted
  environment="${EASYMFT_VENV:-$root/.venv}"
  if ! "$environment/bin/python" -m pip --version >/dev/null 2>&1; then
    python="$(find_python)"
    echo "Making a virtual environment in $environment"
    make_environment "$python" || fail "$python -m venv failed; on Debian and Ubuntu: apt-get install python3-venv"
  fi
  environment="$(cd "$environment" && pwd)"
  takes_python "$environment/bin/python" ||
    fail "$environment is of $("$environment/bin/python" --version), expected $expected; remove it or set EASYMFT_VENV"
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
