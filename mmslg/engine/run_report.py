"""What a run is, in a file and in ten lines."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmslg.engine.run_facts import run_facts
from mmslg.errors import InputError
from mmslg.registry import HOOKS
from mmslg.utils.io import read_json, write_json

FILE = 'run.json'


@HOOKS.register_module()
class RunReportHook(Hook):
    """Write what a run is to ``run.json`` in its work folder, and print it in ten lines.

    The file holds a list of ``starts``: one for the run, one more for each time it was resumed. A learning
    rate belongs to a batch size: where the batch is not the recipe's and nothing was scaled, a line says so.

    Raises:
        InputError: The ``run.json`` of an earlier start cannot be read.
    """

    priority = 'VERY_LOW'

    def before_train(self, runner) -> None:
        """Report before the first step, when weights, optimizer and data are what they will be."""
        if not is_main_process():
            return
        path = Path(runner.work_dir) / FILE
        starts = read_starts(path)
        facts = run_facts(runner)
        write_json(path, {'starts': [*starts, facts]}, indent=1)
        lines = summarize(facts, f'start {len(starts) + 1} in {path}')
        print_log('\n'.join(['this run:', *(f'  {line}' for line in lines)]), 'current')


def read_starts(path: Path) -> list[dict]:
    """Return the earlier starts of a run.

    Raises:
        InputError: The file holds something else.
    """
    if not path.is_file():
        return []
    data = read_json(path)
    starts = data.get('starts') if isinstance(data, dict) else None
    if not isinstance(starts, list) or not all(isinstance(start, dict) for start in starts):
        raise InputError(
            f'{path}: wanted the starts of a run; move the file away or choose another --work-dir'
        )
    return starts


def summarize(facts: dict[str, Any], where: str) -> list[str]:
    """Return the ten lines of :func:`mmslg.engine.run_facts.run_facts`'s findings."""
    config, weights, precision = facts['config'], facts['weights'], facts['precision']
    length, optimizer, parameters = facts['length'], facts['optimizer'], facts['parameters']
    groups: Counter[str] = Counter()
    for group in optimizer['groups']:
        groups[f'{group["lr"]:.3g}/{group["weight_decay"]:g}'] += group['parameters']
    files = facts['data']['files'] | facts['data']['manifests']
    hashes = [f'{Path(path).name} {digest[:8] if digest else "missing"}' for path, digest in files.items()]
    versions = [f'{name} {version}' for name, version in facts['versions'].items() if version]
    return [
        f'run: {config["file"]} ({_git(config["git"])}), mmslg {_git(facts["code"])}; '
        f'seed {facts["seed"]}; {where}',
        batch_line(facts['batch'], optimizer['groups']),
        f'length: {length["iterations"]} iterations, '
        f'{length["epochs"]:g} epochs of {length["samples"]} pairs',
        f'optimizer: {optimizer["type"]}, {len(optimizer["groups"])} groups; parameters by rate/decay: '
        + ', '.join(f'{name}: {_short(number)}' for name, number in groups.items()),
        f'parameters: {_counted(parameters, "trainable")}; {_counted(parameters, "frozen")}',
        'weights: ' + '; '.join(filter(None, [*weights['trunk'], weights['checkpoint'] or 'no checkpoint'])),
        f'data: {", ".join(hashes) or "no files"}',
        f'figures: {"; ".join(facts["protocols"]) or "no validation"}',
        f'precision: {precision["words"]}{", compiled" if precision["compiled"] else ""}; on '
        f'{facts["batch"]["processes"]} x {facts["device"]["name"]}',
        f'versions: {", ".join(versions)}',
    ]


def batch_line(batch: dict[str, Any], groups: list[dict[str, Any]]) -> str:
    """Say which batch the rates meet, and whether it is the recipe's."""
    rates = sorted({group['lr'] for group in groups})
    line = (
        f'effective batch {batch["effective"]} = {batch["a_process"]} a process x {batch["processes"]} '
        f'processes x {batch["accumulated"]} accumulated; learning rates '
        f'{", ".join(f"{rate:.3g}" for rate in rates)}'
    )
    if batch['recipe'] in (None, batch['effective']):
        return line
    if batch['scaled']:
        return f"{line}; scaled from the recipe's batch {batch['recipe']}"
    return (
        f"{line}; NOTE: the recipe's learning rate is for batch {batch['recipe']}, and nothing was scaled "
        '(--auto-scale-lr does)'
    )


def _git(state: dict[str, Any] | None) -> str:
    if state is None:
        return 'no git'
    return f'commit {state["commit"][:8]}{" with changes" if state["changed"] else ""}'


def _counted(parameters: dict[str, dict[str, int]], kind: str) -> str:
    parts = {name: numbers[kind] for name, numbers in parameters.items() if numbers[kind]}
    shown = ', '.join(f'{name} {_short(number)}' for name, number in parts.items())
    return f'{_short(sum(parts.values()))} {kind}{f" ({shown})" if shown else ""}'


def _short(number: int) -> str:
    return f'{number / 1e6:.2f} M' if number >= 100_000 else str(number)
