"""Write docs/model_zoo.md: every config with another dataset, head or trunk, its size, cost and figures.

Parameters are counted anew each time. Costs are measured once, with --measure, and kept in model_zoo.json
beside this file, where reported and measured accuracies stand as well, written by hand.

Example:
    python tools/analysis/model_zoo.py --measure
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import time
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # read as torch loads: idle threads do not spin

import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from mmslg.apis.launch import read_config
from mmslg.apis.profiling import box_type, build_detector, count_parameters, find_parts, prepare, toy_batch
from mmslg.apis.timing import Clock, detector_variant, features_variant, interleave, trunk_variant
from mmslg.errors import InputError
from mmslg.evaluation.functional.protocol import markdown_table
from mmslg.models.modules import gpu_alone
from mmslg.utils.cli import run
from mmslg.utils.io import atomic_path, read_json, write_json
from mmslg.utils.progress import progress_bar

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs' / 'model_zoo.md'
FIGURES = Path(__file__).with_suffix('.json')
SIZE = (640, 512)
SECTIONS = {
    'Datasets': ['slgnet_[!m]*.py', 'slgnet_m3fd*.py'],
    'Heads': ['heads/slgnet_flir_*.py'],
    'Heads for oriented boxes': ['heads/slgnet_dronevehicle_*.py'],
    'Trunks': ['trunks/*.py'],
    'Miniatures': ['slgnet_mini*.py', 'heads/slgnet_mini*.py'],
}
HEADS = {
    'DINOHead': 'DINO',
    'DDQDETRHead': 'DDQ-DETR',
    'DeformableDETRHead': 'Deformable DETR',
    'CascadeRCNN hbox': 'Cascade R-CNN',
    'FasterRCNN hbox': 'Faster R-CNN',
    'FasterRCNN rbox': 'Oriented R-CNN',
    'CascadeRCNN rbox': 'RoI-Transformer',
    'RetinaHead hbox': 'RetinaNet',
    'RetinaHead rbox': 'Rotated RetinaNet',
    'ATSSHead': 'ATSS',
    'GFLHead': 'GFL',
    'FCOSHead': 'FCOS',
    'RTMDetSepBNHead': 'RTMDet',
    'S2AHead': 'S2A-Net',
    'RotatedATSSHead': 'Rotated ATSS',
    'RotatedFCOSHead': 'Rotated FCOS',
    'RotatedRTMDetSepBNHead': 'Rotated RTMDet',
}
DATASETS = {
    'flir_aligned': 'FLIR-aligned',
    'llvip': 'LLVIP',
    'kaist': 'KAIST',
    'm3fd': 'M3FD',
    'dronevehicle': 'DroneVehicle',
    'sample_scenes': 'sample scenes',
}
INTRO = """# Model zoo

Written by `tools/analysis/model_zoo.py`, not by hand; with `--check` it says whether the page is stale, and a
test does so. *Paper-reported* figures are those of arXiv:2601.02249 for its own model; *measured* ones were
obtained with this code. The two never share a column. What each part is worth:
[configs/ablations](../configs/ablations). Another head or trunk: [training.md](training.md#heads-and-trunks).

- Parameters are in millions. Frozen is the trunk; adapters, LGM, pyramid and head learn.
- A forward pass is given as multiples of that of the bare frozen trunk: backbone and necks, and the whole
  detector with its predictions
  ({conditions}).
  Each was measured once: rows of one backbone and pyramid differ by up to 0.05, and less means nothing.
  Weights are random there, so the number of boxes that come to suppression is not that of a trained detector.
- Every model predicts on a CPU. Where one does not train there, its loss and the operator are named that mmcv
  has for GPUs alone; with another loss it does.
"""
FREE = ('num_classes', 'checkpoint', 'dtype', 'train_cfg', 'use_syncbn')
"""Settings of a model that a forward pass does not cost by."""
COLUMNS = (
    'config', 'head', 'trunk', 'dataset', 'boxes', 'trainable M', 'frozen M', 'forward, with necks',
    'forward, whole', 'trains on a CPU', 'paper-reported', 'measured',
)  # fmt: skip


class Row(NamedTuple):
    """A model, and the configs that have it."""

    configs: list[str]
    cfg: Config


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--check', action='store_true', help='write nothing, and fail if the page is stale')
    what.add_argument(
        '--measure',
        nargs='*',
        metavar='CONFIG',
        help='first measure the models that no figure is of, of these configs below configs/ [all]',
    )
    return parser.parse_args()


def read_rows(folder: Path = ROOT / 'configs') -> dict[str, list[Row]]:
    """Read the configs of every section; those that share model and dataset share a row."""
    sections: dict[str, list[Row]] = {}
    for title, patterns in SECTIONS.items():
        found = sections[title] = []
        paths = [path for pattern in patterns for path in folder.glob(pattern)]
        for path in sorted(paths, key=lambda path: (len(path.stem), path)):
            name, cfg = path.relative_to(folder).as_posix(), read_config(str(path))
            same = [row for rows in sections.values() for row in rows if _kind_of(row.cfg) == _kind_of(cfg)]
            if same:
                same[0].configs.append(name)
            else:
                found.append(Row([name], cfg))
        found.sort(key=lambda row: row.configs[0])
    return sections


def _kind_of(cfg: Config) -> tuple:
    return cfg.model, cfg.train_dataloader.dataset.data_root


def head_of(cfg: Config) -> str:
    """Return the name of a detector's head."""
    model = cfg.model
    head = model.get('bbox_head', model.get('bbox_head_init'))
    kind = (model if head is None else head)['type'].rpartition('.')[2]
    return HEADS.get(kind) or HEADS.get(f'{kind} {box_type(cfg)}', kind)


def trunk_of(cfg: Config) -> str:
    """Return what a detector's trunk is: a published one, or the small one that the package holds."""
    trunk = cfg.model.backbone.trunk
    if trunk.checkpoint != 'miniature':
        return f'`{trunk.name}`'
    return f'the shipped miniature ({trunk.depth} blocks, {trunk.embed_dim} wide)'


def model_key(cfg: Config) -> str:
    """Return a hash of all that a forward pass costs by: not weights, training, nor the number of classes."""

    def cut(node: Any) -> Any:
        if isinstance(node, dict):
            return {k: cut(v) for k, v in node.items() if k not in FREE}
        return [cut(value) for value in node] if isinstance(node, (list, tuple, range)) else node

    text = json.dumps(cut(cfg.model.to_dict()), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def measure(cfg: Config) -> dict[str, float]:
    """Return the cost of a forward pass as multiples of the bare trunk's, with a trunk in float32."""
    cfg.model.backbone.trunk.dtype = 'float32'
    model = build_detector(cfg)
    batch = toy_batch(model, cfg, SIZE, 1)
    variants = {
        'trunk': trunk_variant(find_parts(model).trunk, batch['inputs']['rgb']),
        'features': features_variant(model.backbone, model.neck, batch['inputs']),
        'detector': detector_variant(model, batch),
    }
    calls = {name: variant.forward for name, variant in variants.items()}
    seconds = interleave(calls, 'forward', Clock('cpu', now=time.process_time), 1, lambda: None)
    (trunk,) = seconds.pop('trunk')
    return {name: round(each[0] / trunk, 2) for name, each in seconds.items()}


def measure_missing(rows: list[Row], figures: dict) -> None:
    """Measure every model that has no figure yet, and write each figure down at once."""
    torch.set_num_threads(1)
    known = figures['forward']
    missing = {key: row for row in rows if (key := model_key(row.cfg)) not in known}
    bar = progress_bar(len(missing), 'models')
    for key, row in missing.items():
        conditions = (
            f'CPU time of one thread, {SIZE[0]}x{SIZE[1]}, batch 1, float32, the second of two rounds, '
            f'{processor()}, torch {torch.__version__}'
        )
        known[key] = dict(config=row.configs[0], **measure(row.cfg), conditions=conditions)
        write_json(FIGURES, figures, indent=2)
        bar.update()


def processor() -> str:
    """Return the name of this machine's processor."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
        return next(line.partition(':')[2].strip() for line in lines if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def cells(row: Row, figures: dict) -> list[str]:
    """Count a model's parameters, and return its row of the table."""
    cfg = row.cfg
    cost = figures['forward'].get(model_key(cfg), {})
    trunk = trunk_of(cfg)  # before the weights are taken out
    prepare(cfg)
    with torch.device('meta'):  # no memory, no values
        model = MODELS.build(cfg.model)
    total = count_parameters(model)[-1]
    lacking = gpu_alone(model)
    folder = Path(cfg.train_dataloader.dataset.data_root).name
    links = [f'[{Path(each).stem}](../configs/{each})' for each in row.configs]
    return [
        links[0] + (f' (same model: {", ".join(links[1:])})' if links[1:] else ''),
        head_of(cfg),
        trunk,
        DATASETS.get(folder, folder),
        'horizontal' if box_type(cfg) == 'hbox' else 'oriented',
        f'{total.trainable / 1e6:.2f}',
        f'{total.frozen / 1e6:.2f}',
        *(f'{cost[key]:.2f}' if key in cost else 'not measured' for key in ('features', 'detector')),
        f'no: {lacking[0][0]}, `{lacking[0][1]}`' if lacking else 'yes',
        noted(row.configs, figures['paper_reported'], '-'),
        noted(row.configs, figures['measured'], 'not run'),
    ]


def noted(configs: list[str], known: dict[str, str], otherwise: str) -> str:
    """Return the figures of configs that share a row; those of all but the first say whose they are."""
    found = [
        known[name] if name == configs[0] else f'{Path(name).stem}: {known[name]}'
        for name in configs
        if name in known
    ]
    return '; '.join(found) or otherwise


def format_page(sections: dict[str, list[Row]], figures: dict) -> str:
    """Return the text of the page."""
    keys = [model_key(row.cfg) for rows in sections.values() for row in rows]
    forward = figures['forward']
    conditions = sorted({forward[key]['conditions'] for key in keys if key in forward})
    lines = [INTRO.format(conditions='; '.join(conditions))]
    for title, rows in sections.items():
        lines += [f'## {title}', '', markdown_table(COLUMNS, [cells(row, figures) for row in rows]), '']
    return '\n'.join(lines)


def main() -> None:
    """Measure if asked to, and write or check the page."""
    args = parse_args()
    figures = read_json(FIGURES)
    if args.measure is not None:
        rows = {name: row for rows in read_rows().values() for row in rows for name in row.configs}
        unknown = sorted(set(args.measure) - set(rows))
        if unknown:
            raise InputError(f'--measure {unknown[0]}: no such config in the zoo; it has {", ".join(rows)}')
        measure_missing([rows[name] for name in args.measure or rows], figures)
    page = format_page(read_rows(), figures)
    if args.check:
        if not PAGE.is_file() or PAGE.read_text(encoding='utf-8') != page:
            raise InputError(f'{PAGE}: stale; write it anew with `python tools/analysis/model_zoo.py`')
        print(f'{PAGE} is up to date')
        return
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page, encoding='utf-8')
    print(f'{sum(line.startswith("| [") for line in page.splitlines())} models: {PAGE}')


if __name__ == '__main__':
    run(main)
