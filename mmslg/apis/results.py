"""A test's predictions as a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from mmdet.evaluation import DumpDetResults
from mmengine.dist import is_main_process
from mmengine.fileio import dump
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmslg.utils.io import atomic_path


class ResultsFile(DumpDetResults):
    """MMDetection's dump of predictions, which leaves it to its caller to say where."""

    def compute_metrics(self, results: list) -> dict:
        """Write the file."""
        dump(results, self.out_file_path)
        return {}


@contextmanager
def results_in(out: str | None, runner: Runner) -> Iterator[None]:
    """Let the runner's test write its predictions to a pickle file, whole or not at all.

    Args:
        out: The file; None writes none.
        runner: Built, and not yet tested.

    Raises:
        InputError: The file cannot be written; found before the test starts where it can be.
    """
    if out is None:
        yield
        return
    # All processes collect, and the first one writes.
    with atomic_path(out) if is_main_process() else nullcontext(out) as path:
        runner.test_evaluator.metrics.append(ResultsFile(out_file_path=str(path)))
        yield
    print_log(f'predictions in {out}', 'current')
