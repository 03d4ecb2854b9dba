#!/usr/bin/env bash
# What slurm_train.sh and slurm_test.sh share: slurm_run.sh PARTITION JOB_NAME TOOL [arguments of the tool]
set -euo pipefail
source "$(dirname "$0")/dist_env.sh"
GPUS=${GPUS:-8}
check_number GPUS "$GPUS"
GPUS_PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}
CPUS_PER_TASK=${CPUS_PER_TASK:-5}
check_number GPUS_PER_NODE "$GPUS_PER_NODE"
check_number CPUS_PER_TASK "$CPUS_PER_TASK"
command -v srun >/dev/null || die "srun not found: this is no machine of a Slurm cluster; see tools/dist_train.sh"
set_threads "$CPUS_PER_TASK" 1
# shellcheck disable=SC2086  SRUN_ARGS are several words
exec srun \
    --partition="$1" \
    --job-name="$2" \
    --gres="gpu:$GPUS_PER_NODE" \
    --ntasks="$GPUS" \
    --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="$CPUS_PER_TASK" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "$PYTHON" -u "$TOOLS/$3" "${@:4}" --launcher slurm
