#!/usr/bin/env bash
# Usage: bash tools/run_tests.sh [PYTEST ARGUMENTS]
#
# Installs what is missing and runs every check: lint, format, spelling, direction of imports, tests.
# Arguments go to pytest, for instance: tests/models -k sobel -m 'not slow', or -n 0 for one process.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1:-}" in
    -h | --help)
        sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p;}' "${BASH_SOURCE[0]}"
        exit 0
        ;;
esac

bash tools/install.sh --tests
ENV_PYTHON=$(bash tools/install.sh --print-python)
BIN=$(dirname "$ENV_PYTHON")

# Plain output, no windows, no downloads; one test process with one thread for each core, at most 8.
CORES=$(nproc 2>/dev/null || echo 2)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
export NO_COLOR=1 MPLBACKEND=Agg HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1

SUMMARY=()
FAILED=0

# Runs a check, remembers its result and time, and goes on after a failure.
check() {
    local name=$1 start=$SECONDS result=passed
    shift
    echo
    echo "== $name: $*"
    if ! "$@"; then
        result=FAILED
        FAILED=$((FAILED + 1))
    fi
    SUMMARY+=("$(printf '%-12s %-7s %5d s' "$name" "$result" $((SECONDS - start)))")
}

check lint "$BIN/ruff" check --no-cache .
check format "$BIN/ruff" format --no-cache --check .
check spelling "$BIN/codespell" .
check imports "$BIN/lint-imports" --no-cache
check tests "$ENV_PYTHON" -m pytest -n $((CORES < 8 ? CORES : 8)) --dist loadfile --no-loadscope-reorder \
    --color=no --durations=10 "$@"

echo
echo "== summary"
printf '%s\n' "${SUMMARY[@]}"
if [ "$FAILED" -gt 0 ]; then
    echo "$FAILED of ${#SUMMARY[@]} checks failed"
    exit 1
fi
echo "all ${#SUMMARY[@]} checks passed in $((SECONDS / 60)) min $((SECONDS % 60)) s"
