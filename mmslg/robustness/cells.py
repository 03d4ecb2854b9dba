"""Which corruptions a config is tested under, and the test data under each."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from mmengine.config import Config

from mmslg.datasets.corruptions import CORRUPTIONS, Statistics, find
from mmslg.datasets.corruptions.catalogue import CHANNELS, DEFAULT_PUBLISHED, Corruption
from mmslg.datasets.corruptions.published import COMMON, version
from mmslg.datasets.paired_coco import list_steps
from mmslg.errors import InputError
from mmslg.robustness.sequences import earlier_pairs
from mmslg.visualization.samples import innermost_datasets

CLEAN = 'clean'
DELAY = 'pair/delay'
CAPTIONS = {'caption/none': 'none', 'caption/wrong': 'shuffled'}
"""What the model is told, as a variant of captions."""

ALL = {
    **CORRUPTIONS,
    DELAY: Corruption(DELAY, (), ('1', '2', '3', '4', '5'), 'pairs'),
    **{name: Corruption(name, (), ('',)) for name in CAPTIONS},
}
"""Those that change pixels, and those that change what belongs to a pair."""

PUBLISHED = tuple(f'{group}/{name}' for group in CHANNELS for name in COMMON)
"""The fifteen common corruptions on either image: ``published``, or ``infrared/published``."""
EXTRA = tuple(name for name in PUBLISHED if name.split('/')[1] not in DEFAULT_PUBLISHED)
"""Those that run only when they are asked for."""


@dataclass(frozen=True)
class Cell:
    """One test: a corruption at a severity, or the clean pairs."""

    name: str
    severity: int

    @property
    def file(self) -> str:
        """Stem of its files."""
        return f'{self.name.replace("/", "-")}-{self.severity}'


@dataclass(frozen=True)
class Subject:
    """What is tested.

    Args:
        cfg: The config.
        pairs: For each pair of the test set its key and the paths of its images.
        seed: Of all draws.
        moved: The image that ``pair/`` moves.
        sequence: How the order of frames is known: ``auto``, by KAIST's names, or ``numbers``, by the last
            number of a key.
    """

    cfg: Config
    pairs: Sequence[dict[str, str]]
    seed: int
    moved: str
    sequence: str = 'auto'

    @property
    def seen(self) -> str:
        """Which images reach the model: ``both``, ``rgb`` or ``ir``."""
        return self.cfg.model.data_preprocessor.get('modality', 'both')


def cells_of() -> list[Cell]:
    """Return every cell that there is."""
    cells = [Cell(name, severity) for name in ALL for severity in (0, *ALL[name].severities)]
    return [Cell(CLEAN, 0), *cells]


def choose(only: Sequence[str] | None) -> list[str]:
    """Return the names that patterns choose, in the order of the catalogue; None chooses the default.

    Raises:
        InputError: A pattern fits none.
    """
    if only is None:
        return [name for name in ALL if name not in EXTRA]
    chosen: set[str] = set()
    for pattern in only:
        if pattern.rpartition('/')[2] == 'published':
            fitting = [name for name in PUBLISHED if name.startswith(pattern.rpartition('/')[0])]
        else:
            whole = pattern if '/' in pattern else f'{pattern}/*'
            fitting = [n for n in ALL if n == whole or (n not in EXTRA and fnmatchcase(n, whole))]
        if not fitting:
            raise InputError(f'--only {pattern}: no corruption is called so; {_advice(pattern)}')
        chosen.update(fitting)
    return [name for name in ALL if name in chosen]


def _advice(pattern: str) -> str:
    """Say which names are near to one that fits none, or which there are."""
    known = {'published': ['published'], **{name.split('/')[0]: [name.split('/')[0]] for name in ALL}}
    for name in ALL:
        known[name] = [name]
        known.setdefault(name.split('/')[1], []).append(name)  # a name without its image
    similar = difflib.get_close_matches(pattern, known, 1)
    meant = [name for name in ALL if pattern in name] or (known[similar[0]] if similar else [])
    if meant:
        return f'did you mean {" or ".join(meant)}?'
    return f'there are published, {", ".join(ALL)}'


def plan(
    subject: Subject, names: Iterable[str], severities: Sequence[int]
) -> tuple[list[Cell], dict[str, str]]:
    """Return the cells to test, the clean one first, and why corruptions are left out, by their names.

    Raises:
        InputError: The package that a corruption comes from is not installed.
    """
    cells, skipped = [Cell(CLEAN, 0)], {}
    for name in names:
        reason = _obstacle(subject, name)
        if reason:
            skipped[name] = reason
            continue
        known = ALL[name].severities
        wanted = severities if len(known) > 1 else sorted({min(severity, 1) for severity in severities})
        if ALL[name].is_published:
            version()
        if name == DELAY:
            idle = [severity for severity in wanted if severity and not _earlier(subject, severity)]
            wanted = [severity for severity in wanted if severity not in idle]
            if idle:
                skipped[f'{name} by {", ".join(map(str, idle))}'] = 'no pair has one so far before it'
        cells += [Cell(name, severity) for severity in wanted]
    return cells, skipped


def _obstacle(subject: Subject, name: str) -> str:
    """Return why a config cannot be tested under a corruption, or would not notice; ``''`` if it can."""
    group, what = name.split('/')
    images = {
        'visible': group,
        'infrared': group,
        'missing': what.split('_')[0],
        'pair': subject.moved if name != 'pair/noise_and_shift' else '',
    }
    unseen = {'rgb': 'infrared', 'ir': 'visible'}.get(subject.seen)
    if unseen and images.get(group) == unseen:
        return f'the model does not see the {unseen} image'
    if name in CAPTIONS:
        return _no_captions(subject.cfg)
    if name == DELAY and not _earlier(subject, 1):
        return (
            'the order of frames is not known, or each is alone; --sequence numbers takes it from the last '
            'number of the names'
        )
    return ''


def _earlier(subject: Subject, frames: int) -> dict[str, str]:
    return earlier_pairs([pair['key'] for pair in subject.pairs], frames, subject.sequence)


def _no_captions(cfg: Config) -> str:
    if 'mmslg.LanguageGuidedModulation' not in kinds_in(cfg.model):
        return 'the model reads no captions'
    for dataset in innermost_datasets(cfg.test_dataloader.dataset):
        if not dataset.get('caption_store'):
            return 'the test set has no caption_store'
        if dataset.get('caption_variant', 'structured') != 'structured':
            return f'the test set has captions of the variant {dataset["caption_variant"]} already'
    return ''


def kinds_in(node: Any) -> set[str]:
    """Return every ``type`` within a config."""
    if isinstance(node, dict):
        found = {node['type']} if isinstance(node.get('type'), str) else set()
        return found.union(*map(kinds_in, node.values()))
    return set().union(*map(kinds_in, node)) if isinstance(node, (list, tuple)) else set()


def cell_dataloader(subject: Subject, cell: Cell) -> dict:
    """Return the config of the test dataloader under a corruption; its samples say which pair they are.

    Raises:
        InputError: A pipeline has no place for it.
    """
    loader = deepcopy(subject.cfg.test_dataloader)
    unchanged = cell.name == CLEAN or (cell.severity == 0 and cell.name not in CORRUPTIONS)
    for dataset in innermost_datasets(loader.dataset):
        _keep_names(dataset)
        if unchanged:
            continue
        if cell.name in CAPTIONS:
            dataset.update(caption_variant=CAPTIONS[cell.name], caption_seed=subject.seed)
        else:
            _insert(subject, cell, dataset)
    return loader


def _keep_names(dataset: dict) -> None:
    """Let a pipeline with meta_keys of its own keep what is written down of each pair."""
    for step in list_steps(dataset.get('pipeline') or ()):
        if _kind(step) == 'PackPairedInputs' and 'meta_keys' in step:
            step['meta_keys'] = tuple(dict.fromkeys((*step['meta_keys'], 'file_name', 'corruption')))


def _kind(step: dict) -> str:
    return step.get('type', '').rpartition('.')[2]


def _insert(subject: Subject, cell: Cell, dataset: dict) -> None:
    """Put the transform of a corruption into the pipeline of a dataset."""
    steps = list_steps(dataset.get('pipeline') or ())
    kinds = [_kind(step) for step in steps]
    if 'LoadInfrared' not in kinds or 'PackPairedInputs' not in kinds:
        raise InputError(
            f'{subject.cfg.filename}: its test pipeline has no mmslg.LoadInfrared or no '
            'mmslg.PackPairedInputs; corruptions are for pairs'
        )
    if cell.name == DELAY:
        steps.insert(0, _delay(subject, cell.severity))
    else:
        steps.insert(kinds.index('LoadInfrared') + 1, _corruption(subject, cell))
    dataset['pipeline'] = steps


def _corruption(subject: Subject, cell: Cell) -> dict:
    find(cell.name)
    settings = dict(
        type='mmslg.CorruptPair',
        corruption=cell.name,
        severity=cell.severity,
        seed=subject.seed,
        moved=subject.moved,
    )
    return settings | normalisation(subject.cfg)


def normalisation(cfg: Config) -> dict[str, list[float]]:
    """Return ``mean`` and ``std`` of B, G, R, IR, by which the config normalises pairs."""
    default = Statistics()
    found = {'mean': list(default.mean), 'std': list(default.std)}
    for key in found:
        values = cfg.model.data_preprocessor.get(key)
        if values is not None and len(values) == 4:
            red, green, blue, infrared = map(float, values)
            found[key] = [blue, green, red, infrared]
    return found


def _delay(subject: Subject, frames: int) -> dict:
    images = {pair['key']: pair[subject.moved] for pair in subject.pairs}
    sources = {key: (before, images[before]) for key, before in _earlier(subject, frames).items()}
    return dict(type='mmslg.DelayImage', modality=subject.moved, frames=frames, sources=sources)
