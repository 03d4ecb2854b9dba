#!/usr/bin/env bash
# Train under Slurm: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of train.py, such as --resume]
# GPUS (8), GPUS_PER_NODE (8 at most), CPUS_PER_TASK (5), SRUN_ARGS (none), MASTER_ADDR and MASTER_PORT are read
# from the environment. There is one task a GPU; on nodes without GPUs give SRUN_ARGS=--gres=none.
set -euo pipefail
if [ $# -lt 4 ]; then echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [arguments of train.py]" >&2; exit 1; fi
exec bash "$(dirname "$0")/slurm_run.sh" "$1" "$2" train.py "$3" --work-dir "$4" "${@:5}"
