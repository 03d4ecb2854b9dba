"""What is tested: the pairs of a config, the image that is moved, and what makes two figures comparable."""

from __future__ import annotations

import os
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmslg.annotations import read_annotations
from mmslg.apis.subsets import write_first_pairs
from mmslg.datasets.corruptions.published import PACKAGE, installed
from mmslg.engine.data_files import data_hashes, file_hash
from mmslg.engine.identity import flat_settings
from mmslg.errors import InputError
from mmslg.robustness.cells import Subject, kinds_in
from mmslg.visualization.samples import build_split, innermost_datasets

REVISION = 2
"""Of what the corruptions do; figures of different revisions are not compared."""
_TESTED = (
    *('model', 'test_dataloader', 'test_evaluator', 'test_cfg', 'default_scope', 'compile', 'randomness'),
    *('custom_hooks', 'default_hooks.precision', 'env_cfg.cudnn_benchmark'),
)
_IRRELEVANT = ('num_workers', 'persistent_workers', 'pin_memory', 'prefetch_factor')


def check_first(subject: Subject, first: int) -> Subject:
    """See that the test set can be cut down to its first pairs; return the subject of these alone.

    Its config still reads all: see :func:`cut_to_first`.

    Raises:
        InputError: It is of several datasets or has fewer pairs, or an evaluator reads another file.
    """
    name = subject.cfg.filename
    datasets = innermost_datasets(subject.cfg.test_dataloader.dataset)
    if len(datasets) > 1:
        raise InputError(f'{name}: --first wants a test set of one dataset, this has {len(datasets)}')
    if first > len(subject.pairs):
        raise InputError(f'--first {first}: the test set has {len(subject.pairs)} pairs')
    source = _ann_path(datasets[0])
    for evaluator in _evaluators(subject.cfg):
        path = evaluator.get('ann_file') or source
        if os.path.realpath(path) != os.path.realpath(source):
            raise InputError(f'{name}: --first wants an evaluator that reads {source}, this one reads {path}')
    return replace(subject, pairs=subject.pairs[:first])


def cut_to_first(subject: Subject, first: int, folder: Path) -> Subject:
    """Return the subject with its first pairs alone; their annotations are written into the folder."""
    cfg = deepcopy(subject.cfg)
    dataset = innermost_datasets(cfg.test_dataloader.dataset)[0]
    target = os.path.abspath(folder / f'annotations_first_{first}.json')
    write_first_pairs(_ann_path(dataset), first, target, dataset.get('data_root') or None)
    dataset.ann_file = target
    for evaluator in _evaluators(cfg):
        if evaluator.get('ann_file'):
            evaluator['ann_file'] = target
    return replace(subject, cfg=cfg, pairs=subject.pairs[:first])


def _ann_path(dataset: dict) -> str:
    return os.path.join(dataset.get('data_root') or '', dataset['ann_file'])


def _evaluators(cfg: Config) -> list[dict]:
    found = cfg.test_evaluator
    return list(found) if isinstance(found, (list, tuple)) else [found]


def make_subject(cfg: Config, seed: int, reference: str | None, sequence: str) -> Subject:
    """Look at the test set of a config.

    Args:
        cfg: The config.
        seed: Of all draws.
        reference: ``visible`` or ``infrared``: the image that the boxes belong to; None asks the annotations,
            where boxes drawn in both, or nobody knows where, belong to the visible one.
        sequence: See :class:`Subject`.

    Raises:
        InputError: The dataset cannot be built, is not of pairs or corrupts them already, or its parts have
            boxes drawn in different images and nobody said which one counts.
    """
    datasets = innermost_datasets(cfg.test_dataloader.dataset)
    _refuse_corrupted(cfg, datasets)
    if 'data_preprocessor' not in cfg.model:
        raise InputError(f'{cfg.filename}: the model has no data_preprocessor; corruptions are for pairs')
    dataset = build_split(cfg, 'test')
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    if not infos[0].get('ir_path'):
        raise InputError(f'{cfg.filename}: its test set has no infrared images; corruptions are for pairs')
    pairs = [dict(key=i['file_name'], visible=i['img_path'], infrared=i['ir_path']) for i in infos]
    reference = reference or _reference(cfg, datasets)
    return Subject(cfg, pairs, seed, 'visible' if reference == 'infrared' else 'infrared', sequence)


def _refuse_corrupted(cfg: Config, datasets: Iterable[dict]) -> None:
    """See that no pipeline corrupts pairs by itself, since they would be corrupted twice."""
    for dataset in datasets:
        kinds = {kind.rpartition('.')[2] for kind in kinds_in(dataset.get('pipeline'))}
        found = sorted(kinds & {'CorruptPair', 'DelayImage'})
        if found:
            raise InputError(
                f'{cfg.filename}: its test pipeline corrupts pairs already ({", ".join(found)}); take the '
                'step out, as with pipeline=dict(corruption=None)'
            )


def _reference(cfg: Config, datasets: Iterable[dict]) -> str:
    """Return the image that the boxes were drawn in; where it is both or unknown, the visible one."""
    found = set()
    for dataset in (each for each in datasets if each.get('ann_file')):
        where = dataset.get('data_root') or None, dataset.get('data_prefix')
        drawn = read_annotations(_ann_path(dataset), *where).label_modality
        found.add('infrared' if drawn == 'ir' else 'visible')
    if len(found) > 1:
        raise InputError(
            f'{cfg.filename}: the boxes of its test sets were drawn in different images; say by --reference '
            'which image they belong to, visible or infrared'
        )
    return found.pop() if found else 'visible'


def identity_of(subject: Subject, checkpoint: str, first: int | None) -> dict[str, Any]:
    """Return what makes two figures comparable, as :func:`mmslg.engine.identity.claim` wants it."""
    cfg = subject.cfg
    settings = {
        key: value
        for key, value in flat_settings(cfg).items()
        if any(f'{key}.'.startswith(f'{name}.') for name in _TESTED)
        and key.rpartition('.')[2] not in _IRRELEVANT
    }
    settings |= {
        'the checkpoint (SHA-256)': str(file_hash(checkpoint)),
        '--seed': str(subject.seed),
        '--first': str(first),
        '--sequence': subject.sequence,
        'the image that is moved': subject.moved,
        f'the release of {PACKAGE}': installed() or 'not installed',
        'the revision of the corruptions': str(REVISION),
    }
    reading = [cfg.test_dataloader.dataset, *_evaluators(cfg)]
    files = data_hashes(Config(dict(test_dataloader=dict(dataset=reading))))
    return {'settings': settings, 'files': files, 'processes': 1}
