"""What a cell needs that is not there: data, captions, weights; and the commands that make it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import timm
from mmengine.config import Config

from mmslg.engine.data_files import data_files
from reproduction.cells import Cell, Settings
from reproduction.overrides import python, shown
from reproduction.table import Preparation, Table


def missing_files(cell: Cell) -> list[str]:
    """Return the files that a cell needs and that are not there: data, captions, weights."""
    weights = [cell.cfg.get('load_from')] + ([cell.checkpoint] if cell.row.checkpoint_of else [])
    trunk = trunk_of(cell.cfg).get('checkpoint')
    weights += [trunk] if trunk and os.sep in trunk else []
    needed = [*data_files(cell.cfg), *(path for path in weights if path and '://' not in path)]
    return [path for path in needed if not Path(path).is_file()]


def trunk_of(cfg: Config) -> dict:
    """Return the trunk's part of a config."""
    return (cfg.model.get('backbone') or {}).get('trunk') or {}


def download(cell: Cell) -> str | None:
    """Return the command that fetches the published weights of the trunk, None if none is needed."""
    trunk = trunk_of(cell.cfg)
    if trunk.get('checkpoint') != 'pretrained':
        return None
    published = timm.get_pretrained_cfg(trunk['name'])
    if published is None or not published.hf_hub_id:
        return None
    from huggingface_hub import try_to_load_from_cache

    names = ('model.safetensors', 'pytorch_model.bin')
    if any(isinstance(try_to_load_from_cache(published.hf_hub_id, name), str) for name in names):
        return None
    return f'hf download {published.hf_hub_id} {names[0]}'


def what_is_missing(table: Table, cells: list[Cell], settings: Settings) -> list[str]:
    """Return lines of a script: what is missing for cells that are not done, as comments, and what makes it.

    What a cell of these makes for another of these is not missing.
    """
    cells = [cell for cell in cells if not cell.done]
    own = {cell.checkpoint for cell in cells if cell.row.checkpoint_of is None}
    paths = [
        path for path in dict.fromkeys(p for cell in cells for p in missing_files(cell)) if path not in own
    ]
    others = {
        cell.checkpoint_in(config): config
        for cell in cells
        for config in (cell.row.start, cell.row.checkpoint_of)
        if config
    }
    steps = _steps_for(table, paths, settings)
    known = {os.path.join(settings.data_root, name) for step in steps for name in step.makes} | set(others)
    unknown = '; this table does not say what makes it: see docs/datasets.md'
    lines = [f'# missing: {path}{"" if path in known else unknown}' for path in paths]
    fetched = dict.fromkeys(filter(None, (download(cell) for cell in cells)))
    lines += [
        f'# weights of the trunk are downloaded by the first training, or by: {words}' for words in fetched
    ]
    lines += [shlex.join(prepare_words(step, settings)) for step in steps]
    seeds = dict.fromkeys(cell.seed for cell in cells)
    return lines + [
        _run_of(config, [*seeds], settings)
        for config in dict.fromkeys(others[path] for path in paths if path in others)
    ]


def _run_of(config: str, seeds: list[int], settings: Settings) -> str:
    """Return the command that runs the cells of another table."""
    words = [python(), shown('tools/reproduce.py'), config, '--seeds', *seeds]
    words += ['--work-dir', settings.work_dir, '--data-root', settings.data_root, '--gpus', settings.gpus]
    words += ['--cfg-options', *settings.options] if settings.options else []
    return shlex.join(map(str, words))


def _steps_for(table: Table, paths: list[str], settings: Settings) -> list[Preparation]:
    """Return the preparations that make files, before them those that make what they read, and the checks."""
    chosen = to_prepare(table, settings)
    for step in reversed(table.prepare):
        makes = [os.path.join(settings.data_root, name) for name in step.makes]
        read = {word for other in chosen for word in prepare_words(other, settings)}
        if any(path in paths or (path in read and not Path(path).is_file()) for path in makes):
            chosen.append(step)
    return [step for step in table.prepare if step in chosen]


def prepare_words(step: Preparation, settings: Settings) -> list[str]:
    """Return the words of a preparation's command as it is called from here."""
    words = [word.replace('{root}', settings.data_root) for word in shlex.split(step.command)]
    words = [shown(word) if word.startswith(('tools/', 'configs/')) else word for word in words]
    return [python(), *words[1:]] if words[0] == 'python' else words


def to_prepare(table: Table, settings: Settings) -> list[Preparation]:
    """Return the preparations that are run: those whose files are not there, and those that check them."""

    def there(step: Preparation) -> bool:
        return all(Path(settings.data_root, name).is_file() for name in step.makes)

    return [step for step in table.prepare if step.run and (step.always or not there(step))]
