"""Batches of pairs over the workers of Ray Data; the engine sees to retries, scheduling and back-pressure."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from mmslg.collections.pair_worker import PairWorker
from mmslg.errors import InputError

os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
os.environ.setdefault('RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO', '0')

import ray
import ray.data

RETRIES = 3
"""How often pairs are tried again whose worker died: those that always kill it end the run."""

_BATCHES_PER_TASK = 16
_OBJECT_STORE = 256 * 2**20
_CAUSE = 'mmslg.errors.InputError: '


@contextmanager
def ray_started(address: str | None, workers: int | None) -> Iterator[None]:
    """Connect to a cluster, or start Ray on this machine until the end.

    Args:
        address: Of a cluster, ``'auto'`` for the one that this machine belongs to; None starts one here,
            without dashboard, and leaves neither processes nor files.
        workers: How many workers there are to be, for a machine with fewer cores.

    Raises:
        InputError: There is no such cluster, or Ray does not start here in time.
    """
    quiet = dict(log_to_driver=False, logging_level=logging.ERROR)
    with contextlib.ExitStack() as stack:
        try:
            if address is None:
                folder = stack.enter_context(
                    tempfile.TemporaryDirectory(prefix='ray-', ignore_cleanup_errors=True)
                )
                stack.callback(ray.shutdown)
                cores = max(os.cpu_count() or 1, workers or 1)
                ray.init(
                    'local',
                    include_dashboard=False,
                    num_cpus=cores,
                    object_store_memory=_OBJECT_STORE,
                    _temp_dir=folder,
                    **quiet,
                )
            else:
                stack.callback(ray.shutdown)
                ray.init(address, **quiet)
        except Exception as error:  # of no kind of its own where a node does not start in time
            raise InputError(f'Ray cannot be reached: {" ".join(str(error).split())[:200]}') from None
        yield


def detect(
    pairs: pa.Table,
    options: dict[str, Any],
    add: Callable[[pa.Table], None],
    workers: int | None = None,
    gpus_per_worker: float | None = None,
    batch_size: int = 8,
    score_thr: float = 0.0,
) -> None:
    """Detect in pairs over several workers; Ray has been started.

    Args:
        pairs: What :func:`~mmslg.collections.pair_lists.read_pair_list` returned.
        options: Arguments of the inferencer.
        add: Takes the rows of pairs that are done, each pair once, in any order.
        workers: How many; None takes one for each share of a GPU, or one where there is none.
        gpus_per_worker: Share of a GPU that a worker has; None is one where there are GPUs, else none.
        batch_size: Pairs that go through the model at once.
        score_thr: Lowest score that is kept.

    Raises:
        InputError: The cluster lacks what the workers ask for, or a worker cannot load the model.
    """
    have = ray.cluster_resources()
    gpus = float(have.get('GPU', 0))
    share = (1.0 if gpus else 0.0) if gpus_per_worker is None else gpus_per_worker
    workers = workers or (max(1, int(gpus / share)) if share else 1)
    if share * workers > gpus or workers > have.get('CPU', 0):
        raise InputError(
            f'{workers} workers want {workers} cores and {share * workers:g} GPUs, Ray has '
            f'{have.get("CPU", 0):g} and {gpus:g}; lower --workers or --gpus-per-worker'
        )
    options = options if share else {**options, 'device': 'cpu'}
    size = batch_size * max(1, min(_BATCHES_PER_TASK, pairs.num_rows // (4 * workers * batch_size)))
    blocks = [pairs.slice(start, size) for start in range(0, pairs.num_rows, size)]
    logging.getLogger('ray.data').setLevel(logging.CRITICAL)
    ray.data.DataContext.get_current().enable_progress_bars = False
    found = ray.data.from_arrow(blocks).map_batches(
        PairWorker,
        fn_constructor_args=(options, score_thr),
        batch_size=batch_size,
        batch_format='pyarrow',
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
        num_gpus=share,
        max_restarts=-1,
        max_task_retries=RETRIES,
    )
    try:
        for rows in found.iter_batches(batch_size=None, batch_format='pyarrow', prefetch_batches=0):
            add(rows)
    except ray.exceptions.RayError as error:
        if _CAUSE in str(error):
            raise InputError(str(error).rsplit(_CAUSE, 1)[1].splitlines()[0]) from None
        raise
