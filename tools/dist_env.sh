# What dist_run.sh and slurm_run.sh share, to be sourced: checks, PYTHON, PYTHONPATH and OMP_NUM_THREADS.
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PYTHON=${PYTHON:-python}
if [ -z "${VIRTUAL_ENV:-}" ] && [ "$PYTHON" = python ] && [ -x "$TOOLS/../.venv/bin/python" ]; then
    PYTHON=$TOOLS/../.venv/bin/python
fi
export PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}"

die() {
    echo "error: $*" >&2
    exit 1
}

# Refuses a value that is no number from 1: check_number NAME VALUE
check_number() {
    case "$2" in *[!0-9]* | '' | 0*) die "$1=$2: wanted a number from 1" ;; esac
}

# Idle threads of N processes on CORES cores would fight: set_threads CORES N
set_threads() {
    if [ -z "${OMP_NUM_THREADS:-}" ]; then
        export OMP_NUM_THREADS=$(($1 / $2 > 0 ? $1 / $2 : 1))
    fi
}
