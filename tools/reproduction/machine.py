"""What cells that run at once share of a machine: cores, GPUs, ports."""

from __future__ import annotations

import os
import socket

import torch

from mmslg.errors import InputError


def share_of_cores(processes: int) -> int:
    """Return how many of the cores that this process may use each of so many has."""
    return max(1, len(os.sched_getaffinity(0)) // processes)


def gpu_slots(gpus: int, jobs: int) -> list[str]:
    """Return the GPUs of each cell that runs, as CUDA_VISIBLE_DEVICES names them; none where there is no GPU.

    Args:
        gpus: Of a cell.
        jobs: Cells at once.

    Raises:
        InputError: There are too few.
    """
    number = torch.cuda.device_count()
    if not number:
        return []
    names = [name.strip() for name in os.environ.get('CUDA_VISIBLE_DEVICES', '').split(',') if name.strip()]
    names = (names or [str(i) for i in range(number)])[:number]
    if gpus * jobs > len(names):
        raise InputError(f'--jobs {jobs}, --gpus {gpus}: wanted {gpus * jobs} GPUs, there are {len(names)}')
    return [','.join(names[i * gpus : (i + 1) * gpus]) for i in range(jobs)]


def free_port() -> str:
    """Return a port that nobody has now."""
    with socket.socket() as free:
        free.bind(('', 0))
        return str(free.getsockname()[1])
