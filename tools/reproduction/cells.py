"""A cell of a table: one config trained with one seed and tested, with its folder and its commands."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmslg.apis.configs import require
from mmslg.apis.launch import parse_options, read_config
from mmslg.apis.resumption import is_finished
from mmslg.engine.data_files import file_hash
from mmslg.engine.identity import check_folder, claim, run_identity
from mmslg.errors import InputError
from mmslg.models.backbones.trunk_weights import SHIPPED
from mmslg.utils.io import read_json, write_json
from reproduction.machine import share_of_cores
from reproduction.overrides import DATA_ROOT, batch_option, data_options, last_name, python, shown
from reproduction.table import Analysis, Row, Table

FIGURES = 'figures.json'
DETECTIONS = 'detections.bbox.json'
PORT = 29500


@dataclass(frozen=True)
class Settings:
    """What the command line says of all cells.

    Args:
        work_dir: Folder of the cells.
        data_root: Folder of the datasets.
        seeds: Of the trainings.
        gpus: Processes of a training; their batches come to the recipe's.
        jobs: Cells at once.
        options: KEY=VALUE words that override every config.
    """

    work_dir: str
    data_root: str = DATA_ROOT
    seeds: tuple[int, ...] = (0, 1, 2)
    gpus: int = 1
    jobs: int = 1
    options: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Cell:
    """One config, one seed.

    Args:
        number: Among the cells of its table, from 0: the index of a Slurm array.
        row: Of the table.
        seed: Of the training.
        settings: Of all cells.
        analysis: What is run after its test.
    """

    number: int
    row: Row
    seed: int
    settings: Settings
    analysis: Analysis | None = None

    @property
    def name(self) -> str:
        """Return its folder below the work folder."""
        return cell_name(self.row.config, self.seed)

    @property
    def folder(self) -> Path:
        """Return where everything of it lies; tables that share a config share the cell."""
        return Path(self.settings.work_dir, self.name)

    @property
    def config(self) -> str:
        """Return its config as a path from here."""
        return shown(self.row.config)

    @functools.cached_property
    def options(self) -> list[str]:
        """What overrides the config."""
        base = _read(self.config)
        found = [f'randomness.seed={self.seed}', *data_options(base, self.settings.data_root)]
        found += batch_option(self.config, base, self.settings.gpus, self.settings.options)
        if self.row.start is not None:
            found.append(f'load_from={self.checkpoint_in(self.row.start)}')
        return [*found, *self.settings.options]

    @functools.cached_property
    def cfg(self) -> Config:
        """Its config with all overrides."""
        return _read(self.config, self.options)

    @property
    def checkpoint(self) -> str:
        """Return the checkpoint that is tested."""
        if self.row.checkpoint_of is not None:
            return self.checkpoint_in(self.row.checkpoint_of)
        return str(self.folder / 'train' / last_name(self.cfg))

    def checkpoint_in(self, config: str) -> str:
        """Return the last checkpoint of another config's cell of this seed."""
        folder = Path(self.settings.work_dir, cell_name(config, self.seed), 'train')
        return str(folder / last_name(_read(shown(config), self.settings.options)))

    @property
    def identity(self) -> dict[str, Any]:
        """What its figures depend on; a file that is not there (any more) is left out."""
        found = run_identity(self.cfg)
        trunk = self.cfg.model.get('backbone', {}).get('trunk', {}).get('checkpoint')
        weights = {str(path): path for path in (self.cfg.get('load_from'), trunk) if path}
        weights |= {name: path for name, path in SHIPPED.items() if name == trunk}
        weights |= {self.checkpoint: self.checkpoint} if self.row.checkpoint_of else {}
        files = found['files'] | {name: file_hash(path) for name, path in weights.items()}
        found['files'] = {name: digest for name, digest in files.items() if digest}
        return found | {'processes': self.settings.gpus}

    def check(self) -> None:
        """See that its folder is free or its own.

        Raises:
            InputError: It holds another run, or nobody knows what.
        """
        check_folder(self.folder, self.identity, self._advice)

    def claim(self) -> None:
        """Write into its folder which run it holds.

        Raises:
            InputError: As :meth:`check`.
        """
        claim(self.folder, self.identity, self._advice)

    @property
    def _advice(self) -> str:
        """Return what else may be given if its folder holds another run."""
        known = (self.folder / 'identity.json').is_file()
        return '--work-dir' + (', or give --data-root, --gpus and --cfg-options as before' if known else '')

    @property
    def done(self) -> bool:
        """Whether all of its figures are there."""
        return self.tested and (self.analysis is None or self._analysed.is_file())

    @property
    def tested(self) -> bool:
        """Whether the figures of its test are there."""
        return (self.folder / FIGURES).is_file()

    @property
    def _analysed(self) -> Path:
        return self.folder / self.analysis.name / self.analysis.figures

    @property
    def trained(self) -> bool:
        """Whether nothing is left to train."""
        return self.row.checkpoint_of is not None or is_finished(self.cfg, str(self.folder / 'train'))

    @property
    def state(self) -> str:
        """Return ``done``, ``begun`` or ``not run``."""
        if self.done:
            return 'done'
        return 'begun' if (self.folder / 'train').is_dir() else 'not run'

    def commands(self) -> dict[str, list[str]]:
        """Return the words of what is left to run, by the name of its log; paths are meant from here."""
        tests = (
            [f'test_evaluator.outfile_prefix={self.folder / "detections"}'] if self._writes_detections else []
        )
        steps = {}
        if not self.tested and not self.trained:
            steps['train'] = self._tool('train', [], ['--resume'], self.options)
        if not self.tested:
            steps['test'] = self._tool('test', [self.checkpoint], [], [*self.options, *tests])
        if self.analysis is not None and not self.done:
            words = [python(), shown(self.analysis.tool), self.config, self.checkpoint]
            words += ['--out', str(self.folder / self.analysis.name), '--cfg-options', *self.options]
            steps[self.analysis.name] = words
        return steps

    def environment(self) -> dict[str, str]:
        """Return what is set for its commands: a port, the interpreter, the share of the cores of a process.

        When they are run, a port that is free takes the place of that one.
        """
        found = {}
        if self.settings.gpus > 1:
            found['MASTER_PORT'] = str(PORT + self.number)
            found |= {} if python() == 'python' else {'PYTHON': python()}
        if 'OMP_NUM_THREADS' not in os.environ:
            found['OMP_NUM_THREADS'] = str(share_of_cores(self.settings.jobs * self.settings.gpus))
        return found

    @property
    def annotations(self) -> str:
        """Return the annotations that its detections are compared with."""
        return self.cfg.test_evaluator.ann_file

    @property
    def _writes_detections(self) -> bool:
        evaluator = self.cfg.get('test_evaluator')
        return isinstance(evaluator, dict) and evaluator.get('type') == 'mmslg.PairedCocoMetric'

    def _tool(self, name: str, files: list[str], flags: list[str], options: list[str]) -> list[str]:
        if self.settings.gpus > 1:
            words = ['bash', shown(f'tools/dist_{name}.sh'), self.config, *files, str(self.settings.gpus)]
        else:
            words = [python(), shown(f'tools/{name}.py'), self.config, *files]
        return [*words, '--work-dir', str(self.folder / name), *flags, '--cfg-options', *options]

    def write_figures(self) -> None:
        """Keep what its test logged, and what its run says of itself.

        Raises:
            InputError: The test logged nothing.
        """
        logs = sorted(path for path in self.folder.glob('test/*/*.json') if path.stem == path.parent.name)
        if not logs:
            raise InputError(f'{self.folder}/test: no figures; delete this folder and run the cell again')
        facts = self._run_facts()
        parameters = facts.get('parameters', {}).values()
        figures = dict(
            config=self.row.config,
            seed=self.seed,
            options=self.options,
            metrics=read_json(logs[-1]),
            checkpoint=dict(file=self.checkpoint, sha256=file_hash(self.checkpoint)),
            **{key: sum(part[key] for part in parameters) for key in ('trainable', 'frozen') if parameters},
            **{key: facts.get(key) for key in ('protocols', 'code', 'device', 'versions', 'starts')},
        )
        write_json(self.folder / FIGURES, figures, indent=1)

    def _run_facts(self) -> dict[str, Any]:
        """Return what the last start of the training says of it; nothing where nothing was trained."""
        file = self.folder / 'train' / 'run.json'
        if not file.is_file():
            return {}
        starts = read_json(file)['starts']
        return {**starts[-1], 'starts': len(starts)}

    def figures(self) -> dict[str, Any]:
        """Return what :meth:`write_figures` kept, and beside its metrics what the analysis found."""
        found = read_json(self.folder / FIGURES)
        if self.analysis is not None:
            found['metrics'] |= dict(_numbers(read_json(self._analysed), self.analysis.name))
        return found


def _read(config: str, options: Sequence[str] = ()) -> Config:
    """Read a config that can be trained."""
    cfg = read_config(config, parse_options([*options]))
    require(cfg, 'model', 'train_cfg', 'train_dataloader', 'optim_wrapper')
    return cfg


def cell_name(config: str, seed: int) -> str:
    """Return the name of a cell, which is its folder below the work folder."""
    return f'{Path(config).stem}/seed_{seed}'


def plan(table: Table, settings: Settings) -> list[Cell]:
    """Return the cells of a table in the order in which they are run: all rows with a seed, then the next.

    Raises:
        InputError: Two configs have one name, so that their folders would be one; or a config cannot be read.
    """
    stems = [Path(row.config).stem for row in table.measured]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None)
    if twice or len(set(settings.seeds)) < len(settings.seeds):
        raise InputError(
            f'wanted configs of different names and different seeds, got {twice or settings.seeds} twice'
        )
    pairs = [(row, seed) for seed in settings.seeds for row in table.measured]
    return [Cell(number, row, seed, settings, table.analysis) for number, (row, seed) in enumerate(pairs)]


def _numbers(node: Any, path: str) -> Iterator[tuple[str, float]]:
    """Yield the numbers of a JSON object by their way in it."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _numbers(value, f'{path}/{key}')
    elif isinstance(node, (int, float)) and not isinstance(node, bool):
        yield path, float(node)
