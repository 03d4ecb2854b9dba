#!/usr/bin/env bash
# Usage: bash tools/install.sh [--tests] [--print-python] [-h]
#
# Installs mmslg and all it needs: torch, the OpenMMLab stack (OneDL's builds, mmcv with its compiled
# ops), timm, open_clip, transformers, and this tree in editable mode. The versions are those of
# requirements/*.txt. It installs into the active virtual or conda environment, or makes .venv here.
# Run it again at any time: it looks first and does only what is missing.
#
#   --tests          also what tools/run_tests.sh needs
#   --print-python   print the interpreter of the environment, install nothing
#
#   PYTHON=python3.12      the interpreter that makes .venv (3.10, 3.11 or 3.12)
#   TORCH_INDEX_URL=URL    take torch from this wheel index, for instance CPU-only wheels
#   MAX_JOBS=N             compilers that run at once while mmcv is built
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
STATE="$ROOT/tools/install_state.py"
TOTAL=5
GIB_FOR_TORCH=12
GIB_FOR_REST=3
EXIT_CV2=3
EXIT_MMCV=4

CHILD=
LOG=
STATE_ARGS=()

die() {
    echo "error: $*" >&2
    exit 1
}

usage() {
    sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p;}' "${BASH_SOURCE[0]}"
}

stop_child() {
    if [ -n "$CHILD" ]; then
        kill -TERM -- "-$CHILD" 2>/dev/null || true
    fi
    echo "interrupted: run it again to go on" >&2
    exit 130
}

duration() {
    local seconds=$1
    if [ "$seconds" -lt 60 ]; then
        echo "$seconds s"
    else
        echo "$((seconds / 60)) min $((seconds % 60)) s"
    fi
}

# ---------------------------------------------------------------- environment

# Prints the folder of the environment: the active one, or .venv.
environment_folder() {
    if [ -n "${VIRTUAL_ENV:-}" ]; then
        echo "$VIRTUAL_ENV"
    elif [ -n "${CONDA_PREFIX:-}" ] && [ "${CONDA_DEFAULT_ENV:-base}" != base ]; then
        echo "$CONDA_PREFIX"
    else
        echo "$ROOT/.venv"
    fi
}

python_version() {
    "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null || echo none
}

is_supported() {
    case "$1" in
        3.10.* | 3.11.* | 3.12.*) return 0 ;;
        *) return 1 ;;
    esac
}

# Prints the first interpreter that can make .venv.
find_python() {
    local candidate version first=
    if [ -n "${PYTHON:-}" ]; then
        version=$(python_version "$PYTHON")
        [ "$version" != none ] || die "PYTHON=$PYTHON does not run"
        is_supported "$version" || die "PYTHON=$PYTHON is Python $version; 3.10, 3.11 or 3.12 is needed"
        echo "$PYTHON"
        return
    fi
    for candidate in python3 python3.11 python3.12 python3.10; do
        version=$(python_version "$candidate")
        if is_supported "$version"; then
            echo "$candidate"
            return
        fi
        first=${first:-$version}
    done
    if [ "$first" = none ]; then
        die "no python3 was found; 3.10, 3.11 or 3.12 is needed (set PYTHON=)"
    fi
    die "python3 is Python $first and no other was found; 3.10, 3.11 or 3.12 is needed (set PYTHON=)"
}

make_environment() {
    local version base
    version=$(python_version "$ENV_PYTHON")
    if [ "$ENV" != "$ROOT/.venv" ]; then
        is_supported "$version" ||
            die "the active environment $ENV has Python $version; 3.10, 3.11 or 3.12 is needed (deactivate it?)"
    elif ! is_supported "$version" || ! "$ENV_PYTHON" -m pip --version >/dev/null 2>&1; then
        base=$(find_python) || exit 1
        echo "making $ENV with Python $(python_version "$base")"
        "$base" -m venv "$ENV" >/dev/null 2>&1 ||
            die "$base cannot make a virtual environment (install python3-venv, or set PYTHON=)"
        version=$(python_version "$ENV_PYTHON")
        is_supported "$version" || die "$ENV has Python $version; remove that folder and run again"
    fi
    if ! "$ENV_PYTHON" -m pip --version >/dev/null 2>&1; then
        "$ENV_PYTHON" -m ensurepip --upgrade >/dev/null 2>&1 || die "the environment $ENV has no pip"
    fi
    echo "mmslg install: Python $version in $ENV"
}

# One installation at a time; the one that runs may be what an interrupted run left behind.
take_lock() {
    command -v flock >/dev/null || return 0
    exec 9>"$ENV/mmslg-install.lock"
    if ! flock -n 9; then
        echo "another installation into this environment is running: waiting for it"
        until flock -w 30 9; do
            echo "      waiting, $(duration "$SECONDS")"
        done
    fi
}

# ---------------------------------------------------------------- checks

# Reads what is installed into CLASH, BROKEN, BUILD, TORCH, PACKAGES, MMCV, OPS, MMSLG: empty is good.
read_state() {
    local step status detail text
    text=$("$ENV_PYTHON" "$STATE" state "${STATE_ARGS[@]}") || die "cannot read what $ENV_PYTHON has installed"
    while IFS=$'\t' read -r step status detail; do
        if [ "$status" = ok ]; then
            detail=
        fi
        printf -v "$(echo "$step" | tr '[:lower:]' '[:upper:]')" '%s' "$detail"
    done <<<"$text"
}

check_disk() {
    local needed=$GIB_FOR_REST free
    if [ -n "$TORCH" ]; then
        needed=$GIB_FOR_TORCH
    fi
    free=$(df -Pk "$ENV" | awk 'NR == 2 { printf "%d", $4 / 1048576 }')
    [ "$free" -ge "$needed" ] || die "$free GiB of disk are free at $ENV; $needed GiB are needed"
}

check_compiler() {
    local compiler include
    compiler=${CXX:-$(command -v c++ || command -v g++ || true)}
    if [ -z "$compiler" ] || ! command -v "${compiler%% *}" >/dev/null; then
        die "no C++ compiler; mmcv's ops are compiled here (install g++, on Debian: apt-get install g++)"
    fi
    export CXX=$compiler
    include=$("$ENV_PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    [ -f "$include/Python.h" ] || die "no Python headers in $include (on Debian: apt-get install python3-dev)"
}

has_nvidia() {
    command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1
}

has_cuda() {
    has_nvidia && "$ENV_PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null
}

# ---------------------------------------------------------------- running pip

# Prints one line on how far the command that writes to the log has come.
progress_line() {
    local first_line=$1 seconds=$2 files done_files all_files
    files=$(tail -n "+$first_line" "$LOG" | grep -oE '^ *\[[0-9]+/[0-9]+\]' | tail -n 1 | tr -d ' []' || true)
    if [ -n "$files" ]; then
        done_files=${files%/*}
        all_files=${files#*/}
        if [ "$done_files" -lt 10 ]; then
            echo "$done_files of $all_files files compiled"
        else
            seconds=$((seconds * (all_files - done_files) / done_files))
            echo "$done_files of $all_files files compiled, about $(duration "$seconds") left"
        fi
    else
        tail -n "+$first_line" "$LOG" | grep -E '^ *(Collecting|Downloading|Processing|Building|Installing|Preparing) ' |
            tail -n 1 | sed 's/^ *//' | cut -c1-80 || true
    fi
}

# Prints the line of the log that says best what went wrong.
failure_line() {
    local first_line=$1 text line
    text=$(tail -n "+$first_line" "$LOG")
    line=$(grep -m 1 -E 'fatal error: |: error: ' <<<"$text" || true)
    line=${line:-$(grep -E '^ *ERROR: ' <<<"$text" | grep -v 'ERROR: ResolutionImpossible' | tail -n 1 || true)}
    line=${line:-$(grep -v '^ *$' <<<"$text" | tail -n 1 || true)}
    line=${line#"${line%%[![:space:]]*}"}
    line=${line#ERROR: }
    echo "${line:0:240}"
}

# Runs a command with its output in the log and a sign of life every half minute.
run_logged() {
    local first_line start=$SECONDS next=30 status=0
    first_line=$(($(wc -l <"$LOG") + 1))
    echo "+ $*" >>"$LOG"
    set -m
    "$@" >>"$LOG" 2>&1 </dev/null &
    CHILD=$!
    set +m
    while kill -0 "$CHILD" 2>/dev/null; do
        sleep 0.2
        if [ $((SECONDS - start)) -ge "$next" ]; then
            echo "      $(duration $((SECONDS - start))): $(progress_line "$first_line" $((SECONDS - start)))"
            next=$((next + 30))
        fi
    done
    wait "$CHILD" || status=$?
    CHILD=
    if [ "$status" -ne 0 ]; then
        FAILURE=$(failure_line "$first_line")
    fi
    return "$status"
}

pip_install() {
    run_logged "$ENV_PYTHON" -m pip install --no-input --progress-bar off "$@"
}

pip_install_or_die() {
    pip_install "$@" || die "pip failed: $FAILURE (log: $LOG)"
}

# Prints "[2/5] torch: ..." before a step; without a reason the step has nothing to do.
announce() {
    local number=$1 name=$2 reason=$3
    if [ -z "$reason" ]; then
        echo "[$number/$TOTAL] $name: there"
        return 1
    fi
    if [ "${#reason}" -gt 150 ]; then
        reason="${reason:0:150}..."
    fi
    echo "[$number/$TOTAL] $name: $reason"
}

# ---------------------------------------------------------------- steps

read_requirements() {
    "$ENV_PYTHON" "$STATE" requirements "$1" "${STATE_ARGS[@]}"
}

install_build_tools() {
    local wanted
    mapfile -t wanted < <(read_requirements build)
    pip_install_or_die --upgrade pip "${wanted[@]}"
}

install_torch() {
    local wanted index=()
    mapfile -t wanted < <(read_requirements torch)
    if [ -n "${TORCH_INDEX_URL:-}" ]; then
        index=(--index-url "$TORCH_INDEX_URL")
    fi
    pip_install_or_die "${index[@]}" "${wanted[@]}"
}

install_packages() {
    local wanted
    mapfile -t wanted < <(read_requirements packages)
    pip_install_or_die "${wanted[@]}"
}

# The ready-made build of mmcv for this torch and CUDA, if there is one. mim lives in a folder of its
# own for the moment: its requirements would clash with ours.
install_mmcv_prebuilt() {
    local folder status=0
    folder=$(mktemp -d)
    {
        pip_install --target "$folder" onedl-mim 'setuptools>=80,<81' &&
            run_logged env PYTHONPATH="$folder" "$ENV_PYTHON" -m mim install \
                --no-deps --only-binary=onedl-mmcv "$1"
    } || status=$?
    rm -rf "$folder"
    return "$status"
}

build_mmcv() {
    local cores memory
    check_compiler
    if has_cuda && ! command -v nvcc >/dev/null && [ ! -x "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ]; then
        die "no ready-made onedl-mmcv for this torch and no nvcc to compile it: install the CUDA toolkit"
    fi
    cores=$(nproc 2>/dev/null || echo 2)
    memory=$(awk '/MemAvailable/ { printf "%d", $2 / 1572864 }' /proc/meminfo 2>/dev/null || echo "$cores")
    if [ "$memory" -lt "$cores" ]; then
        cores=$((memory > 0 ? memory : 1))
    fi
    export MAX_JOBS=${MAX_JOBS:-$cores} MMCV_WITH_OPS=1
    echo "      compiling on $MAX_JOBS cores (6 to 8 minutes on 2), unless pip kept an earlier build"
    pip_install_or_die --verbose --no-build-isolation "$@"
}

install_mmcv() {
    local wanted
    wanted=$(read_requirements mmcv)
    if has_cuda; then
        if install_mmcv_prebuilt "$wanted" && try_ops; then
            return
        fi
        echo "      no ready-made build for this torch and CUDA"
        build_mmcv --force-reinstall --no-deps "$wanted"
    else
        build_mmcv "$wanted"
    fi
}

# Runs two ops; sets OPS_STATUS and OPS_MESSAGE.
try_ops() {
    OPS_STATUS=0
    OPS_MESSAGE=$("$ENV_PYTHON" "$STATE" ops 2>>"$LOG") || OPS_STATUS=$?
    OPS_MESSAGE=${OPS_MESSAGE##*$'\n'}
    return "$OPS_STATUS"
}

# Tries the compiled parts and mends the two things that go wrong without pip noticing.
mend_ops() {
    local version first_line=1
    if try_ops; then
        return
    fi
    if [ "$OPS_STATUS" -eq "$EXIT_CV2" ]; then
        echo "      OpenCV does not load (${OPS_MESSAGE:0:80}): using its build without windows"
        version=$("$ENV_PYTHON" -c 'from importlib.metadata import version; print(version("opencv-python"))')
        pip_install_or_die --force-reinstall --no-deps "opencv-python-headless==$version"
        try_ops || true
    fi
    if [ "$OPS_STATUS" -eq "$EXIT_MMCV" ]; then
        echo "      mmcv's ops do not load: compiling them against this torch"
        echo "$OPS_MESSAGE" >>"$LOG"
        build_mmcv --force-reinstall --no-deps --no-cache-dir "$(read_requirements mmcv)"
        try_ops || true
    fi
    [ "$OPS_STATUS" -eq 0 ] || die "installed, but it does not run: $OPS_MESSAGE (log: $LOG)"
}

# ---------------------------------------------------------------- main

PRINT_PYTHON=
while [ $# -gt 0 ]; do
    case "$1" in
        --tests) STATE_ARGS=(--tests) ;;
        --print-python) PRINT_PYTHON=1 ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) die "unknown option $1; see bash tools/install.sh -h" ;;
    esac
    shift
done

ENV=$(environment_folder)
ENV_PYTHON="$ENV/bin/python"
if [ -n "$PRINT_PYTHON" ]; then
    echo "$ENV_PYTHON"
    exit 0
fi

trap stop_child INT TERM HUP
make_environment
take_lock
read_state

if [ -n "$CLASH" ]; then
    die "$ENV holds $CLASH, whose files OneDL's builds would overwrite: use a new environment"
fi
if [ -z "$BROKEN$BUILD$TORCH$PACKAGES$MMCV$OPS$MMSLG" ]; then
    echo "all is there ($(duration "$SECONDS"))"
    exit 0
fi

if [ -n "$TORCH$PACKAGES$MMCV" ]; then
    check_disk
fi
if [ -n "$MMCV" ] && ! has_nvidia; then
    check_compiler
fi
mkdir -p "$ROOT/work_dirs/install"
LOG="$ROOT/work_dirs/install/$(date +%Y%m%d-%H%M%S).log"
: >"$LOG"
echo "output of pip: $LOG"
if [ -n "$BROKEN" ]; then
    echo "mending what an interrupted installation left: $BROKEN"
    "$ENV_PYTHON" "$STATE" repair >>"$LOG"
    read_state
fi

if announce 1 "build tools" "$BUILD"; then install_build_tools; fi
if announce 2 "torch" "$TORCH"; then install_torch; fi
if announce 3 "packages" "$PACKAGES"; then install_packages; fi
if announce 4 "mmcv with its ops" "$MMCV"; then install_mmcv; fi
echo "      trying the compiled parts"
mend_ops
"$ENV_PYTHON" "$STATE" stamp
if announce 5 "mmslg, editable" "$MMSLG"; then
    pip_install_or_die --no-build-isolation --no-deps -e "$ROOT"
fi

read_state
LEFT="$BUILD$TORCH$PACKAGES$MMCV$OPS$MMSLG"
[ -z "$LEFT" ] || die "still missing after the installation: $LEFT (log: $LOG)"
echo "installed in $(duration "$SECONDS")"
if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]; then
    echo "activate it with: source .venv/bin/activate"
fi
