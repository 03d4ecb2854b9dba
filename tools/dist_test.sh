#!/usr/bin/env bash
# Test on several processes: tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of test.py]
# Without a GPU, GPUS is the number of CPU processes. NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT
# (or PORT) are read from the environment.
set -euo pipefail
if [ $# -lt 3 ]; then echo "usage: $0 CONFIG CHECKPOINT GPUS [arguments of test.py]" >&2; exit 1; fi
CONFIG=$1 CHECKPOINT=$2 GPUS=$3
exec bash "$(dirname "$0")/dist_run.sh" "$GPUS" test.py "$CONFIG" "$CHECKPOINT" "${@:4}"
