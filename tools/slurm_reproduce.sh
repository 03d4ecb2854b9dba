#!/usr/bin/env bash
# Make a table of figures under Slurm, a cell a job of an array:
#   tools/slurm_reproduce.sh PARTITION JOB_NAME TABLE [arguments of reproduce.py, such as --data-root data]
# GPUS (8, of one node), CPUS_PER_TASK (5 a GPU) and SBATCH_ARGS (none) are read from the environment; on nodes
# without GPUs give SBATCH_ARGS=--gres=none. Submit it again to go on: what is done is not done twice.
set -euo pipefail
if [ $# -lt 3 ]; then echo "usage: $0 PARTITION JOB_NAME TABLE [arguments of reproduce.py]" >&2; exit 1; fi
source "$(dirname "$0")/dist_env.sh"
GPUS=${GPUS:-8}
check_number GPUS "$GPUS"
CPUS_PER_TASK=${CPUS_PER_TASK:-5}
check_number CPUS_PER_TASK "$CPUS_PER_TASK"
command -v sbatch >/dev/null || die "sbatch not found: this is no machine of a Slurm cluster; see tools/reproduce.py"
CELLS=$("$PYTHON" "$TOOLS/reproduce.py" "${@:3}" --gpus "$GPUS" --count)
COMMAND=$(printf '%q ' "$PYTHON" -u "$TOOLS/reproduce.py" "${@:3}" --gpus "$GPUS")
# shellcheck disable=SC2086  SBATCH_ARGS are several words
exec sbatch \
    --partition="$1" \
    --job-name="$2" \
    --array="0-$((CELLS - 1))" \
    --nodes=1 \
    --ntasks=1 \
    --gres="gpu:$GPUS" \
    --cpus-per-task="$((GPUS * CPUS_PER_TASK))" \
    ${SBATCH_ARGS:-} \
    --wrap="$COMMAND --cell \$SLURM_ARRAY_TASK_ID"
