#!/usr/bin/env bash
# Usage: bash tools/install.sh [--tests] [--print-python] [-h]
#
# Installs mmslg and all it needs into the active virtual or conda environment, or makes .venv here. pip
# decides what is missing; torch comes first, because mmcv's ops are compiled against it. Run it again at
# any time: it goes on where it was interrupted.
#
#   --tests          also what tools/run_tests.sh needs, and the extras that it tests
#   --print-python   print the interpreter of the environment, install nothing
#
#   PYTHON=python3.12      the interpreter that makes .venv
#   TORCH_INDEX_URL=URL    take torch from this wheel index, for instance CPU-only wheels
#   MAX_JOBS=N             compilers that run at once while mmcv is built
#   FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST="8.0 9.0"
#                          build mmcv for these GPUs on a machine without one (a cluster's login node);
#                          it needs the CUDA toolkit of torch's version
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHONS='3.11 3.12 3.10'
SETS=(mminstall runtime captions)
BUILD_TOOLS=('pip>=23.1' 'setuptools>=77,<81' wheel ninja)
PIP=(-m pip install --no-input --progress-bar off)
CHILD=

# Tries the parts that pip cannot judge; prints "PART: what is wrong" for the first that fails.
TRIAL=$(cat <<'PYTHON'
import os, sys
from importlib.metadata import version
from pathlib import Path

root, wanted = sys.argv[1:]
sys.stdout = sys.stderr  # whatever an import prints is no answer
stamp = Path(sys.prefix, 'mmslg-mmcv-torch.txt')  # the torch that mmcv was last tried with
part = 'torch'
try:
    import torch, torchvision
    gpus = ['cuda'] if torch.cuda.is_available() else []
    part = 'opencv'
    import cv2
    part = 'mmcv'
    from mmcv.ops import get_compiling_cuda_version, nms_rotated
    if version('onedl-mmcv').partition('+')[0] != wanted.partition('==')[2]:
        raise ImportError(f'{wanted} is wanted')
    if stamp.is_file() and stamp.read_text() != torch.__version__:
        raise ImportError(f'it was built for torch {stamp.read_text()}, not {torch.__version__}')
    if (gpus or os.environ.get('FORCE_CUDA') == '1') and get_compiling_cuda_version() == 'not available':
        raise ImportError('it was built without CUDA')
    for device in ['cpu', *gpus]:
        boxes = torch.tensor([[5.0, 5.0, 4.0, 2.0, 0.1]] * 2, device=device)
        if len(nms_rotated(boxes, torch.tensor([0.9, 0.8], device=device), 0.5)[1]) != 1:
            raise ImportError(f'nms_rotated keeps two equal boxes on {device}')
    if not stamp.is_file() and os.access(sys.prefix, os.W_OK):
        stamp.write_text(torch.__version__)
    part = 'mmslg'
    import mmslg
    if not mmslg.__file__.startswith(root + '/') or version('mmslg') != mmslg.__version__:
        raise ImportError('another version or copy is installed')
except Exception as error:
    print(f'{part}: {" ".join(str(error).split())[:200]}', file=sys.__stdout__)
PYTHON
)

die() {
    echo "error: $*" >&2
    exit 1
}

duration() { echo "$(($1 / 60)) min $(($1 % 60)) s"; }

is_supported() {
    VERSION=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo missing)
    [[ " $PYTHONS " == *" $VERSION "* ]]
}

make_environment() {
    local base
    if [ "$ENV" = "$ROOT/.venv" ] && ! is_supported "$PY"; then
        for base in ${PYTHON:-$(printf 'python%s ' 3 $PYTHONS)}; do
            if is_supported "$base"; then break; fi
        done
        is_supported "$base" || die "one of Python $PYTHONS is needed; $base is $VERSION (set PYTHON=)"
        echo "making $ENV with Python $VERSION"
        "$base" -m venv "$ENV" >/dev/null 2>&1 ||
            die "$base cannot make a virtual environment (on Debian: apt-get install python3-venv)"
    fi
    is_supported "$PY" || die "one of Python $PYTHONS is needed; that of $ENV is $VERSION"
    "$PY" -m pip --version >/dev/null 2>&1 || "$PY" -m ensurepip >/dev/null 2>&1 || die "$ENV has no pip"
    SITE=$("$PY" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
}

# Prints the version of a package.
installed() { "$PY" -m pip show "$1" 2>/dev/null | sed -n 's/^Version: //p'; }

# Prints the requirement lines that match a pattern.
requirements() { (cd "$ROOT/requirements" && cat "${SETS[@]/%/.txt}") | grep -P "$1"; }

# Sets FAULT to the line of the trial, empty if all runs.
try_parts() {
    FAULT=$("$PY" -I -c "$TRIAL" "$ROOT" "$MMCV" 2>/dev/null) || FAULT='mmcv: trying it crashes Python'
}

# Whether pip would install nothing and all parts run.
is_complete() {
    local answer
    answer=$("$PY" "${PIP[@]}" --dry-run --no-index "${WANTED[@]}" 2>/dev/null) || return 1
    if grep -q 'Would install' <<<"$answer"; then return 1; fi
    try_parts
    [ -z "$FAULT" ]
}

check_compiler() {
    local headers
    headers=$("$PY" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    command -v "${CXX:-c++}" >/dev/null || die "no C++ compiler for mmcv (on Debian: apt-get install g++)"
    [ -f "$headers/Python.h" ] || die "no Python headers in $headers (on Debian: apt-get install python3-dev)"
}

check_disk() {
    local needed=3 free
    if [ ! -d "$SITE/torch" ]; then needed=12; fi
    free=$(df -Pk "$ENV" | awk 'NR == 2 { printf "%d", $4 / 1048576 }')
    [ "$free" -ge "$needed" ] || die "$free GiB of disk are free at $ENV; $needed GiB are needed"
}

# Runs a command with its output in the log and a sign of life every half minute; sets FAILURE.
run_logged() {
    local first step start=$SECONDS next=30 status=0
    first=$(($(wc -l <"$LOG") + 1))
    echo "+ $*" >>"$LOG"
    set -m
    "$@" >>"$LOG" 2>&1 </dev/null &
    CHILD=$!
    set +m
    while kill -0 "$CHILD" 2>/dev/null; do
        sleep 0.2
        if [ $((SECONDS - start)) -ge "$next" ]; then
            step=$(tail -n "+$first" "$LOG" | tail -n 1000 |
                grep -oE '^ *(\[[0-9]+/[0-9]+\]|(Collecting|Downloading|Installing) .{1,60})' | tail -n 1) || true
            echo "      $(duration $((SECONDS - start))): ${step:-at work}"
            next=$((next + 30))
        fi
    done
    wait "$CHILD" || status=$?
    CHILD=
    FAILURE=$(tail -n "+$first" "$LOG" | grep -E 'fatal error: |^ *[A-Za-z]*Error: |: error: |ERROR: ' |
        head -n 1 | sed 's/^ *//' | cut -c1-240 || true)
    return "$status"
}

pip_install() {
    run_logged "$PY" "${PIP[@]}" "$@" || die "pip failed: ${FAILURE:-see the end of the log} (log: $LOG)"
}

# Takes the ready-made build for this torch and CUDA if there is one, else compiles. What pip compiled it
# keeps without regard to torch's version, so each version gets a cache of its own.
install_mmcv() {
    local folder memory cache=(--no-cache-dir)
    rm -f "$ENV/mmslg-mmcv-torch.txt"
    if "$PY" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
        folder=$(mktemp -d)  # mim's own requirements clash with ours
        if run_logged "$PY" "${PIP[@]}" --target "$folder" onedl-mim 'setuptools>=77,<81'; then
            run_logged env PYTHONPATH="$folder" "$PY" -m mim install --no-deps --only-binary=:all: "$MMCV" ||
                echo "$FAILURE" >>"$LOG"
        fi
        rm -rf "$folder"
        try_parts
        if [[ $FAULT != mmcv:* ]]; then return; fi
        echo "      no ready-made build for this torch and CUDA"
    elif [ -z "${FORCE_CUDA:-}" ]; then
        cache=(--cache-dir "$("$PY" -m pip cache dir)/mmslg-torch-$(installed torch)")
    fi
    check_compiler
    memory=$(awk '/MemAvailable/ { printf "%d", $2 / 1572864 + 1 }' /proc/meminfo)
    export MMCV_WITH_OPS=1 MAX_JOBS=${MAX_JOBS:-$(($(nproc) < memory ? $(nproc) : memory))}
    echo "      compiling with $MAX_JOBS jobs (6 to 8 minutes with 2), unless pip kept an earlier build"
    pip_install --verbose --no-build-isolation --no-deps --force-reinstall "${cache[@]}" "$MMCV"
}

PRINT_PYTHON=
while [ $# -gt 0 ]; do
    case "$1" in
        --tests) SETS+=(lora inference demo deploy ray robustness tests) ;;
        --print-python) PRINT_PYTHON=1 ;;
        -h | --help) sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p;}' "${BASH_SOURCE[0]}" && exit 0 ;;
        *) die "unknown option $1; see bash tools/install.sh -h" ;;
    esac
    shift
done
if [ "${CONDA_DEFAULT_ENV:-base}" = base ]; then CONDA_PREFIX=; fi
ENV=${VIRTUAL_ENV:-${CONDA_PREFIX:-$ROOT/.venv}}
PY=$ENV/bin/python
if [ -n "$PRINT_PYTHON" ]; then echo "$PY" && exit 0; fi

trap '[ -z "$CHILD" ] || kill -- "-$CHILD" || true; die "interrupted: run it again to go on"' INT TERM HUP
make_environment
if command -v flock >/dev/null; then
    exec 9>"$ENV/mmslg-install.lock"
    flock -n 9 || { echo "another installation into $ENV is running: waiting for it" && flock 9; }
fi
MMCV=$(requirements '^onedl-mmcv')
mapfile -t PACKAGES < <(requirements '^(?!onedl-mmcv)[a-zA-Z]')
mapfile -t TORCH < <(requirements '^torch')
WANTED=("${BUILD_TOOLS[@]}" "${PACKAGES[@]}" "$MMCV")
if is_complete; then
    echo "mmslg and all it needs are there, in $ENV ($SECONDS s)"
    exit 0
fi

ORIGINAL=$(find "$SITE" -maxdepth 1 -regex '.*/mm\(engine\|cv\|det\|rotate\)[a-z_]*-[0-9].*' -printf '%f ')
[ -z "$ORIGINAL" ] || die "$ENV holds ${ORIGINAL% }: OneDL's build would overwrite it; use a new environment"
check_disk
if ! compgen -G "$SITE/onedl_mmcv-*" >/dev/null && ! nvidia-smi >/dev/null 2>&1; then check_compiler; fi
for folder in "$SITE"/*.dist-info; do
    [ -f "$folder/RECORD" ] || [ -f "$folder/INSTALLER" ] || rm -rf "$folder"  # pip was interrupted
done
mkdir -p "$ROOT/work_dirs/install"
LOG=$ROOT/work_dirs/install/$(date +%Y%m%d-%H%M%S).log
: >"$LOG"
echo "mmslg into $ENV, Python $VERSION; output of pip: $LOG"

echo "[1/5] build tools"
pip_install "${BUILD_TOOLS[@]}"
echo "[2/5] torch"
pip_install ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} "${TORCH[@]}"
echo "[3/5] packages"
pip_install "${PACKAGES[@]}"
try_parts
if [[ $FAULT = opencv:* ]]; then
    echo "      $FAULT: taking OpenCV's build without windows"
    pip_install --force-reinstall --no-deps "opencv-python-headless==$(installed opencv-python)"
    try_parts
fi
[[ $FAULT != torch:* ]] || die "$FAULT (log: $LOG)"
echo "[4/5] mmcv with its ops"
if [[ $FAULT = mmcv:* ]]; then
    echo "      $FAULT"
    install_mmcv
fi
echo "[5/5] mmslg, editable"
pip_install --no-build-isolation --no-deps -e "$ROOT"
try_parts
[ -z "$FAULT" ] || die "installed, but it does not run: $FAULT (log: $LOG)"
echo "installed in $(duration "$SECONDS")"
if [ "$ENV" = "$ROOT/.venv" ]; then echo "activate it with: source .venv/bin/activate"; fi
