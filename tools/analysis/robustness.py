"""Test a detector under missing, misaligned and corrupted images: a table, curves and a manifest."""

from __future__ import annotations

import argparse
import os
import sys

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # read as torch loads: idle threads do not spin

from pathlib import Path
from typing import Any

from mmslg.apis.launch import add_cfg_options, load_config
from mmslg.apis.resumption import check_tested
from mmslg.engine.identity import claim
from mmslg.errors import InputError
from mmslg.evaluation.functional.protocol import format_figures
from mmslg.robustness.cells import CLEAN, Cell, Subject, cells_of, choose, plan
from mmslg.robustness.compare import compare_markdown, compare_table, draw_comparison, read_summaries
from mmslg.robustness.report import (
    choose_metric,
    computed_with,
    console_table,
    draw_curves,
    markdown,
    summarize,
)
from mmslg.robustness.run import read_results, run_cells
from mmslg.robustness.sequences import SEQUENCES
from mmslg.robustness.sheet import draw_sheet
from mmslg.robustness.subjects import check_first, cut_to_first, identity_of, make_subject
from mmslg.utils.cli import parse_positive, parse_seed, run
from mmslg.utils.io import atomic_path, check_folder, write_json
from mmslg.visualization.pairs import write_picture


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', metavar='DIR', help='folder of the results [work_dirs/CONFIG/robustness]')
    parser.add_argument(
        '--only',
        '--corruptions',
        nargs='+',
        metavar='NAME',
        help='such as visible/fog, a group such as pair, a pattern such as "*/fog", or published: the '
        '15 of ImageNet-C, on either image [all but those that docs/robustness.md calls extra]',
    )
    parser.add_argument(
        '--severities',
        nargs='+',
        type=int,
        choices=range(6),
        default=[1, 2, 3, 4, 5],
        help='0 to 5 [1 2 3 4 5]',
    )
    parser.add_argument('--first', type=parse_positive, metavar='N', help='test the first N pairs alone')
    parser.add_argument('--seed', type=parse_seed, default=0, help='of all that is drawn [0]')
    parser.add_argument(
        '--reference',
        choices=('visible', 'infrared'),
        help='the image that the boxes belong to; the other one is moved [where the annotations say]',
    )
    parser.add_argument(
        '--sequence',
        choices=SEQUENCES,
        default='auto',
        help="how frames follow each other, for pair/delay: auto knows KAIST's names, numbers takes the last "
        'number of each name [auto]',
    )
    parser.add_argument('--metric', metavar='NAME', help='the figure of the table, such as coco/bbox_mAP_50')
    parser.add_argument(
        '--sheet', type=parse_positive, metavar='N', help='draw pair N under everything, and test nothing'
    )
    parser.add_argument(
        '--against',
        nargs='+',
        default=[],
        metavar='DIR',
        help='results of other detectors, compared with these: comparison.md and comparison.png',
    )
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    """Test what is not tested yet, and report all that is."""
    args = parse_args()
    args.launcher, args.compile = 'none', False
    names, severities = choose(args.only), sorted(set(args.severities))
    folder = Path('work_dirs', Path(args.config).stem, 'robustness') if args.out is None else Path(args.out)
    check_folder(folder, '--out')
    args.work_dir = str(folder / 'log')
    cfg = load_config(args)
    if not cfg.get('test_dataloader') or not cfg.get('test_evaluator'):
        raise InputError(f'{args.config}: the config has no test_dataloader or no test_evaluator')
    if args.sheet is None:
        remark = check_tested(cfg, args.checkpoint)
        if remark:
            print(f'warning: {remark}', file=sys.stderr)
    subject = make_subject(cfg, args.seed, args.reference, args.sequence)
    if args.first is not None:
        subject = check_first(subject, args.first)
    cells, skipped = plan(subject, names, severities)
    if args.sheet is not None:
        write_picture(folder / 'sheet.png', draw_sheet(subject, args.sheet, names))
        print(f'sheet.png in {folder}')
        return
    if args.against:
        own = compared(subject) | ({'metric': args.metric} if args.metric else {})
        read_summaries([Path(other) for other in args.against], own)
    claim(folder, identity_of(subject, args.checkpoint, args.first), '--out', besides=('sheet.png',))
    if args.first is not None:
        subject = cut_to_first(subject, args.first, folder)
    done = read_results(folder, cells)
    left = [cell for cell in cells if cell not in done]
    print(f'{len(cells)} tests of {len(subject.pairs)} pairs, {len(cells) - len(left)} of them done before')
    for name, why in skipped.items():
        print(f'{name} is left out: {why}')

    def judge(cell: Cell, result: dict) -> None:
        if cell.name == CLEAN:  # the evaluator's figures are known from now on
            choose_metric({cell: result}, args.metric)

    for cell, result in done.items():
        judge(cell, result)
    run_cells(subject, args.checkpoint, left, folder, judge)
    report(args, subject, folder, skipped)


def compared(subject: Subject) -> dict[str, Any]:
    """Return what figures have to have in common, as far as it is known before the tests."""
    moved = f'the {subject.moved} image; boxes stay those of the other one'
    return {'seed': subject.seed, 'moved': moved}


def report(args: argparse.Namespace, subject: Subject, folder: Path, skipped: dict[str, str]) -> None:
    """Write and print the report of all that the folder has."""
    results = read_results(folder, cells_of())
    summary = summarize(results, choose_metric(results, args.metric))
    clean = results[Cell(CLEAN, 0)]
    facts = {
        'config': args.config,
        'checkpoint': args.checkpoint,
        'pairs': len(subject.pairs),
        **compared(subject),
        'protocol': '; '.join(clean['protocol']).removeprefix('protocol: '),
        'computed with': computed_with(results),
    }
    draw_curves(folder / 'curves.png', summary)
    with atomic_path(folder / 'robustness.md') as temporary:
        temporary.write_text(markdown(summary, facts, skipped, 'curves.png'), encoding='utf-8')
    figures = [dict(result) for result in results.values()]
    write_json(
        folder / 'robustness.json', facts | dict(summary=summary, not_tested=skipped, cells=figures), indent=1
    )
    print(f'protocol: {facts["protocol"]}\n{summary["metric"]}:\n{console_table(summary)}')
    print(f'robustness.md, robustness.json, curves.png and manifest/ in {folder}')
    if args.against:
        summaries = read_summaries([folder, *map(Path, args.against)])
        draw_comparison(folder / 'comparison.png', summaries)
        with atomic_path(folder / 'comparison.md') as temporary:
            temporary.write_text(compare_markdown(summaries, 'comparison.png'), encoding='utf-8')
        print(f'{format_figures(*compare_table(summaries))}\ncomparison.md and comparison.png in {folder}')


if __name__ == '__main__':
    run(main)
