"""Registries of ``mmslg``: children of MMEngine's, filled on first use.

A config keeps ``default_scope='mmdet'`` or ``'mmrotate'`` and writes ``mmslg.X`` for a type of this
package; the ``locations`` are imported when such a name is first looked up, so no config needs
``custom_imports``.
"""

from mmslg.version import check_stack

check_stack(require=True)  # before the first import of the stack, so that a missing package is named

import functools  # noqa: E402
import logging  # noqa: E402
from collections.abc import Callable  # noqa: E402

import mmengine.logging  # noqa: E402
from mmengine import registry as engine  # noqa: E402
from mmengine.registry import Registry  # noqa: E402


def _heeding_level(print_log: Callable) -> Callable:
    """Let MMEngine's ``print_log`` leave out what is meant for debugging where no logger does.

    It prints what has no logger, whatever its level: MMDetection and MMRotate would say on every start,
    at level DEBUG, which optional package they go without.
    """

    @functools.wraps(print_log)
    def heeding(msg: object, logger: object = None, level: int = logging.INFO) -> None:
        if logger is not None or level > logging.DEBUG:
            print_log(msg, logger, level)

    return heeding


mmengine.logging.print_log = _heeding_level(mmengine.logging.print_log)

MODELS = Registry(
    'model', parent=engine.MODELS, scope='mmslg', locations=['mmslg.models', 'mmslg.engine.learnt_ema']
)
DATASETS = Registry(
    'dataset', parent=engine.DATASETS, scope='mmslg', locations=['mmslg.datasets.paired_coco']
)
TRANSFORMS = Registry(
    'transform', parent=engine.TRANSFORMS, scope='mmslg', locations=['mmslg.datasets.transforms']
)
HOOKS = Registry(
    'hook', parent=engine.HOOKS, scope='mmslg', locations=['mmslg.engine', 'mmslg.visualization.hook']
)
VISUALIZERS = Registry(
    'visualizer',
    parent=engine.VISUALIZERS,
    scope='mmslg',
    locations=['mmslg.visualization.pair_visualizer'],
)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=engine.OPTIM_WRAPPER_CONSTRUCTORS,
    scope='mmslg',
    locations=['mmslg.engine'],
)
METRICS = Registry('metric', parent=engine.METRICS, scope='mmslg', locations=['mmslg.evaluation.metrics'])

_CAPTIONERS = ('photometric', 'qwen', 'server')
CAPTIONERS = Registry(
    'captioner', scope='mmslg', locations=[f'mmslg.captions.captioners.{name}' for name in _CAPTIONERS]
)
_ENCODERS = ('hashed', 'hf', 'open_clip')
TEXT_ENCODERS = Registry(
    'text encoder', scope='mmslg', locations=[f'mmslg.captions.encoders.{name}' for name in _ENCODERS]
)
