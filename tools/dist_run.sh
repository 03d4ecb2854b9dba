#!/usr/bin/env bash
# What dist_train.sh and dist_test.sh share: dist_run.sh PROCESSES TOOL [arguments of the tool]
set -euo pipefail
source "$(dirname "$0")/dist_env.sh"
PROCESSES=$1 TOOL=$2
NODES=${NNODES:-1} NODE=${NODE_RANK:-0} ADDRESS=${MASTER_ADDR:-127.0.0.1} PORT=${PORT:-${MASTER_PORT:-29500}}
check_number GPUS "$PROCESSES"
check_number NNODES "$NODES"
check_number MASTER_PORT "$PORT"
case "$NODE" in *[!0-9]* | '') die "NODE_RANK=$NODE: wanted a number from 0" ;; esac
[ "$NODE" -lt "$NODES" ] || die "NODE_RANK=$NODE: wanted a number from 0 below NNODES=$NODES"
if [ "$NODES" -gt 1 ] && [ -z "${MASTER_ADDR:-}" ]; then
    die "NNODES=$NODES wants MASTER_ADDR, the address of the machine with NODE_RANK=0"
fi
TRY='import socket, sys; socket.create_server(("", int(sys.argv[1]))).close()'
if [ "$NODE" = 0 ] && ! "$PYTHON" -c "$TRY" "$PORT" 2>/dev/null; then
    die "MASTER_PORT=$PORT cannot be opened, maybe another run has it; give another, such as" \
        "MASTER_PORT=$((PORT % 60000 + 1))"
fi
set_threads "$(nproc 2>/dev/null || echo 1)" "$PROCESSES"
exec "$PYTHON" "$TOOLS/torchrun.py" \
    --nnodes="$NODES" \
    --node_rank="$NODE" \
    --master_addr="$ADDRESS" \
    --master_port="$PORT" \
    --nproc_per_node="$PROCESSES" \
    "$TOOLS/$TOOL" "${@:3}" --launcher pytorch
