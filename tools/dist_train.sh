#!/usr/bin/env bash
# Train on several processes: tools/dist_train.sh CONFIG GPUS [arguments of train.py]
# Without a GPU, GPUS is the number of CPU processes. NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT
# (or PORT) are read from the environment.
set -euo pipefail
if [ $# -lt 2 ]; then echo "usage: $0 CONFIG GPUS [arguments of train.py]" >&2; exit 1; fi
CONFIG=$1 GPUS=$2
exec bash "$(dirname "$0")/dist_run.sh" "$GPUS" train.py "$CONFIG" "${@:3}"
