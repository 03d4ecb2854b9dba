"""Train several configs over several seeds and compare them: mean and deviation of their metrics.

Runs that are complete are not repeated, so an interrupted comparison goes on where it was. Each folder says
in identity.json which run it holds, and is refused to another.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from mmengine.config import Config

from mmslg.apis.launch import parse_options, read_config
from mmslg.apis.resumption import is_finished
from mmslg.engine.identity import claim, run_identity
from mmslg.errors import InputError
from mmslg.utils.cli import run
from mmslg.utils.io import check_folder, read_json, refuse_overwriting, write_json
from mmslg.utils.progress import progress_bar

TRAIN = Path(__file__).resolve().parents[1] / 'train.py'
FIGURES = 'figures.json'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'configs', nargs='+', metavar='CONFIG', help='configs to compare; the first is the base'
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], help='seeds [0 1 2]')
    parser.add_argument(
        '--metrics', nargs='+', default=['bbox_mAP', 'bbox_mAP_50'], help='ends of metric names'
    )
    parser.add_argument(
        '--work-dir', default='work_dirs/compare', help='folder of the runs [work_dirs/compare]'
    )
    parser.add_argument(
        '--jobs', type=int, default=1, help='runs at once, each with its share of the cores [1]'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='settings for all of the configs'
    )
    parser.add_argument('--json', metavar='FILE', help='write the figures to this file')
    return parser.parse_args()


def settings(seed: int, options: list[str]) -> list[str]:
    """Return what overrides the config in a run of a seed."""
    return [f'randomness.seed={seed}', *options]


def run_config(config: str, seed: int, options: list[str]) -> Config:
    """Return the config of one run."""
    return read_config(config, parse_options(settings(seed, options)))


def train_once(config: str, seed: int, folder: Path, options: list[str], threads: int) -> dict[str, float]:
    """Train, and return the metrics of the last validation.

    Raises:
        InputError: The training failed, or it validated nothing.
    """
    done, log, work_dir = folder / FIGURES, folder / 'train.log', folder / 'train'
    if done.is_file():
        return read_json(done)['metrics']
    command = [sys.executable, TRAIN, config, '--work-dir', work_dir, '--resume']
    command += ['--cfg-options', *settings(seed, options)]
    if not is_finished(run_config(config, seed, options), str(work_dir)):
        with log.open('a') as file:
            process = subprocess.run(
                [str(word) for word in command],
                env={**os.environ, 'OMP_NUM_THREADS': str(threads)},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        if process.returncode:
            last = (log.read_text().strip().splitlines() or ['nothing'])[-1]
            raise InputError(f'{config}, seed {seed}: training failed, see {log}: {last}')
    metrics = last_metrics(work_dir)
    write_json(done, dict(config=config, seed=seed, options=options, metrics=metrics), indent=2)
    return metrics


def run_folder(work_dir: str, config: str, seed: int) -> Path:
    """Return the folder of one run."""
    return Path(work_dir) / Path(config).stem / f'seed_{seed}'


def last_metrics(folder: Path) -> dict[str, float]:
    """Return the last metrics that a run logged.

    Raises:
        InputError: It logged none.
    """
    metrics = None
    for file in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            record = json.loads(line)
            if any('/' in key for key in record):
                metrics = {key: value for key, value in record.items() if '/' in key}
    if metrics is None:
        raise InputError(f'{folder}: the run logged no metrics; does its config validate at the end?')
    return metrics


def run_all(
    runs: list[tuple[str, int]], args: argparse.Namespace, jobs: int, threads: int
) -> dict[tuple[str, int], dict[str, float]]:
    """Train all runs, ``jobs`` at once; the first that fails ends the comparison."""
    bar, results = progress_bar(len(runs), 'runs', interval=0), {}
    with ThreadPoolExecutor(jobs) as pool:
        futures = {}
        for config, seed in runs:
            folder = run_folder(args.work_dir, config, seed)
            futures[pool.submit(train_once, config, seed, folder, args.cfg_options, threads)] = config, seed
        try:
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                bar.update()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return results


def summarise(values: list[float]) -> dict[str, object]:
    """Return mean and standard deviation of a sample (n - 1)."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return dict(mean=statistics.fmean(values), deviation=deviation, values=values)


def main() -> None:
    """Train, compare, report."""
    args = parse_args()
    check_folder(args.work_dir, '--work-dir')
    refuse_overwriting(args.json, *args.configs)
    names = [Path(config).stem for config in args.configs]
    if len(set(names)) < len(names) or len(set(args.seeds)) < len(args.seeds):
        raise InputError('wanted configs of different names and different seeds')
    for config in args.configs:
        for seed in args.seeds:
            claim(
                run_folder(args.work_dir, config, seed),
                run_identity(run_config(config, seed, args.cfg_options)),
            )
    jobs = max(1, args.jobs)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    runs = [(config, seed) for seed in args.seeds for config in args.configs]
    results = run_all(runs, args, jobs, threads)
    table = {}
    for config, name in zip(args.configs, names):
        rows = [results[config, seed] for seed in args.seeds]
        table[name] = {}
        for metric in args.metrics:
            found = [next((v for k, v in row.items() if k.endswith(f'/{metric}')), None) for row in rows]
            if None in found:
                raise InputError(f'{config}: no metric ends in /{metric}; there are {", ".join(rows[0])}')
            table[name][metric] = summarise(found)
    print(f'{len(args.seeds)} seeds ({", ".join(map(str, args.seeds))}): mean ± standard deviation')
    width = max(map(len, names)) + 2
    print(f'{"config":{width}}' + ''.join(f'{metric:>20}' for metric in args.metrics))
    for name, row in table.items():
        cells = [
            f'{v["mean"]:.3f}' + (f' ± {v["deviation"]:.3f}' if v['deviation'] is not None else '')
            for v in row.values()
        ]
        print(f'{name:{width}}' + ''.join(f'{cell:>20}' for cell in cells))
    if args.json is not None:
        write_json(args.json, dict(seeds=args.seeds, configs=table), indent=2)
        print(f'figures in {args.json}')


if __name__ == '__main__':
    run(main)
