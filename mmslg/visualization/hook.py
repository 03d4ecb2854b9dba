"""Pictures of pairs during validation and testing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from mmslg.errors import InputError
from mmslg.registry import HOOKS
from mmslg.visualization.samples import picture_name


@HOOKS.register_module()
class PairVisualizationHook(Hook):
    """Hand samples with their predictions to the visualizer, which has to be ``mmslg.PairVisualizer``.

    Unlike ``mmdet.DetVisualizationHook``, which reads the visible file whole and names pictures by its
    basename, it leaves reading to the visualizer, names them by the pair's key, and draws the same pairs
    in every validation. Validation and testing without ``show`` and ``test_out_dir`` fill the visualizer's
    backends.

    Args:
        draw: Whether to draw at all; ``test.py --show`` and ``--show-dir`` set it.
        interval: The first pair of every so many batches is drawn in validation; every pair in testing.
        score_thr: Lowest score that is drawn.
        show: Show each picture in a window.
        wait_time: Seconds that it is shown; 0 waits for a key.
        test_out_dir: Folder below ``WORK_DIR/TIME`` for the pictures of a test, or an absolute one.

    Raises:
        InputError: ``test_out_dir`` is empty.
    """

    def __init__(
        self,
        draw: bool = False,
        interval: int = 50,
        score_thr: float = 0.3,
        show: bool = False,
        wait_time: float = 0.0,
        test_out_dir: str | None = None,
    ) -> None:
        if test_out_dir is not None and not test_out_dir.strip():
            raise InputError(f'--show-dir {test_out_dir!r}: wanted a folder, got an empty name')
        self.draw = draw
        self.interval = interval
        self.test_out_dir = test_out_dir
        self._options = dict(pred_score_thr=score_thr, show=show, wait_time=wait_time)
        self._names: Counter[str] = Counter()

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[BaseDataElement]
    ) -> None:
        """Draw the first pair of every ``interval``-th batch."""
        if self.draw and batch_idx % self.interval == 0:
            name = picture_name(outputs[0].get('file_name', 'pair'))
            runner.visualizer.add_datasample(name, None, outputs[0], step=runner.iter, **self._options)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[BaseDataElement]
    ) -> None:
        """Draw every pair of the batch."""
        for sample in outputs if self.draw else ():
            name = picture_name(sample.get('file_name', 'pair'))
            self._names[name] += 1
            if self._names[name] > 1:  # another folder or dataset with a pair of this name
                name = f'{name}_{self._names[name]}'
            out = None
            if self.test_out_dir is not None:
                out = Path(runner.work_dir, runner.timestamp, self.test_out_dir, f'{name}.png')
            runner.visualizer.add_datasample(name, None, sample, out_file=out, **self._options)
