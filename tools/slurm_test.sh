#!/usr/bin/env bash
# Test under Slurm: tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of test.py]
# GPUS (8), GPUS_PER_NODE (8 at most), CPUS_PER_TASK (5), SRUN_ARGS (none), MASTER_ADDR and MASTER_PORT are read
# from the environment. There is one task a GPU; on nodes without GPUs give SRUN_ARGS=--gres=none.
set -euo pipefail
if [ $# -lt 4 ]; then echo "usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of test.py]" >&2; exit 1; fi
exec bash "$(dirname "$0")/slurm_run.sh" "$1" "$2" test.py "$3" "$4" "${@:5}"
