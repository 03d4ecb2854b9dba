#!/usr/bin/env bash
# What dist_train.sh and dist_test.sh share: dist_run.sh PROCESSES TOOL [arguments of the tool]
set -euo pipefail
TOOLS=$(cd "$(dirname "$0")" && pwd)
PROCESSES=$1 TOOL=$2
case "$PROCESSES" in *[!0-9]* | '' | 0*) echo "error: GPUS=$PROCESSES: wanted a number from 1" >&2; exit 1 ;; esac
PYTHON=${PYTHON:-python}
if [ -z "${VIRTUAL_ENV:-}" ] && [ "$PYTHON" = python ] && [ -x "$TOOLS/../.venv/bin/python" ]; then
    PYTHON=$TOOLS/../.venv/bin/python
fi
if [ -z "${OMP_NUM_THREADS:-}" ]; then
    CORES=$(nproc 2>/dev/null || echo 1)
    export OMP_NUM_THREADS=$((CORES / PROCESSES > 0 ? CORES / PROCESSES : 1))
fi
export PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}"
exec "$PYTHON" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-${MASTER_PORT:-29500}}" \
    --nproc_per_node="$PROCESSES" \
    "$TOOLS/$TOOL" "${@:3}" --launcher pytorch
