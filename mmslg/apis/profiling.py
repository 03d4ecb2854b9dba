"""A detector without its weights, taken apart and fed with toy data: for counting and measuring."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmslg.apis.configs import require
from mmslg.engine.trunk_state import trunk_settings
from mmslg.errors import InputError
from mmslg.models.backbones import FrozenTrunk, SLGViT
from mmslg.models.modules import first_of
from mmslg.models.necks import LanguageGuidedModulation, SimpleFeaturePyramid
from mmslg.utils.config_errors import explain_config_errors

WAKING_STEPS = 2
"""Optimizer steps until every parameter that starts at zero has moved."""


def prepare(cfg: Config, seed: int = 0, keep_trunk: bool = False) -> None:
    """Set a config's scope and the random seed, quieten the log, and take out weight files.

    Args:
        cfg: The config, changed.
        seed: For torch.
        keep_trunk: Leave the trunk's in.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    MMLogger.get_current_instance().setLevel('WARNING')
    torch.manual_seed(seed)
    _without_init(cfg.model)
    for settings in () if keep_trunk else trunk_settings(cfg.model):
        settings['checkpoint'] = None


def _without_init(node: Any) -> None:
    init = node.get('init_cfg') if isinstance(node, dict) else None
    if isinstance(init, dict) and init.get('type') == 'Pretrained':
        node['init_cfg'] = None
    if isinstance(node, (dict, list, tuple)):
        for child in node.values() if isinstance(node, dict) else node:
            _without_init(child)


def build_detector(cfg: Config, seed: int = 0, keep_trunk: bool = False) -> nn.Module:
    """Build the model of a config with random weights.

    Args:
        cfg: The config; its weight files are taken out.
        seed: For torch.
        keep_trunk: Read the frozen trunk's weights, or download them, as the config says.

    Raises:
        InputError: The config has no model, or names what does not exist.
    """
    require(cfg, 'model')
    prepare(cfg, seed, keep_trunk)
    with explain_config_errors(cfg):
        model = MODELS.build(cfg.model)
    model.init_weights()
    return model


@dataclass
class Parts:
    """The parts of a detector; ``lgm`` and ``pyramid`` are None where the config has none."""

    backbone: SLGViT
    lgm: LanguageGuidedModulation | None
    pyramid: SimpleFeaturePyramid | None

    @property
    def trunk(self) -> FrozenTrunk:
        """The frozen ViT."""
        return self.backbone.trunk


def find_parts(model: nn.Module) -> Parts:
    """Find the parts of SLGNet in a detector.

    Raises:
        InputError: The backbone is another one.
    """
    backbone = first_of(model, SLGViT)
    if backbone is None:
        raise InputError('the config has no backbone mmslg.SLGViT, of which this tool tells the parts')
    return Parts(backbone, first_of(model, LanguageGuidedModulation), first_of(model, SimpleFeaturePyramid))


@dataclass
class ParameterCount:
    """Parameters of one row of the table; ``subtotal`` rows repeat what other rows hold."""

    name: str
    trainable: int
    frozen: int
    subtotal: bool = False


def count_parameters(model: nn.Module) -> list[ParameterCount]:
    """Count the parameters of a detector part by part; the last row is the total."""

    def row(name: str, *modules: nn.Module | None, subtotal: bool = False) -> ParameterCount:
        params = {id(p): p for module in modules if module is not None for p in module.parameters()}
        trainable = sum(p.numel() for p in params.values() if p.requires_grad)
        return ParameterCount(name, trainable, sum(p.numel() for p in params.values()) - trainable, subtotal)

    parts = find_parts(model)
    backbone = parts.backbone
    adapter = (backbone.structure_encoder, backbone.adapters)
    rows = [
        row('frozen trunk' if not parts.trunk.learnt else 'trunk', parts.trunk),
        row('structure encoder', backbone.structure_encoder),
    ]
    rows += [
        row(f'adapter {i} (after block {index})', module)
        for i, (index, module) in enumerate(zip(backbone.interaction_indexes, backbone.adapters))
    ]
    rows.append(row('SA-Adapter', *adapter, subtotal=True))
    rows.append(row('LGM', parts.lgm))
    rows.append(row('SA-Adapter + LGM', *adapter, parts.lgm, subtotal=True))
    rows.append(row('pyramid', parts.pyramid))
    total = row('total', model, subtotal=True)
    counted = [r for r in rows if not r.subtotal]
    rows.append(
        ParameterCount(
            'head (everything else)',
            total.trainable - sum(r.trainable for r in counted),
            total.frozen - sum(r.frozen for r in counted),
        )
    )
    return [*rows, total]


def box_type(cfg: Config) -> str:
    """Return the kind of boxes a config trains on: ``hbox``, ``rbox`` or ``qbox``."""
    found = 'rbox' if cfg.get('default_scope') == 'mmrotate' else 'hbox'

    def walk(node: Any) -> None:
        nonlocal found
        if isinstance(node, dict):
            mapping = node.get('box_type_mapping')
            kind = mapping.get('gt_bboxes') if isinstance(mapping, dict) else node.get('box_type')
            found = kind or found
        if isinstance(node, (dict, list, tuple)):
            for child in node.values() if isinstance(node, dict) else node:
                walk(child)

    walk(cfg.get('train_dataloader', {}))
    return found


def toy_data(cfg: Config, size: tuple[int, int], batch_size: int, text_dims: int | None) -> dict:
    """Make a batch of noise with a few boxes, in the form that a data loader gives.

    Args:
        cfg: Says which kind of boxes its head wants.
        size: Width and height in pixels.
        batch_size: Number of pairs.
        text_dims: Width of the caption embeddings; None for no captions.
    """
    width, height = size
    inputs: dict[str, list[Tensor]] = {
        'img': [torch.randint(0, 256, (4, height, width), dtype=torch.uint8) for _ in range(batch_size)]
    }
    if text_dims is not None:
        inputs['text'] = [torch.randn(4, text_dims) for _ in range(batch_size)]
    boxes = HorizontalBoxes(_toy_boxes(width, height))
    kind = box_type(cfg)
    if kind != 'hbox':
        import mmrotate.structures  # noqa: F401  registers the oriented kinds

        boxes = boxes.convert_to(kind)
    samples = []
    for i in range(batch_size):
        shapes = {'img_shape': (height, width), 'ori_shape': (height, width), 'scale_factor': (1.0, 1.0)}
        sample = DetDataSample(metainfo={'img_id': i, 'img_path': '', **shapes})
        labels = torch.zeros(len(boxes), dtype=torch.long)
        sample.gt_instances = InstanceData(bboxes=boxes.clone(), labels=labels)
        samples.append(sample)
    return {'inputs': inputs, 'data_samples': samples}


def _toy_boxes(width: int, height: int) -> Tensor:
    """Boxes (x1, y1, x2, y2) of 24 to 1384 pixels, so that a head finds some for each of its levels."""
    sides = 24 * 1.5 ** torch.arange(11)
    places = torch.linspace(0.2, 0.8, len(sides))
    centers = torch.stack([places * width, places.flip(0) * height], 1)
    halves = torch.stack([sides, 0.9 * sides], 1) / 2
    return torch.cat([centers - halves, centers + halves], 1)


def toy_batch(
    model: nn.Module, cfg: Config, size: tuple[int, int], batch_size: int, training: bool = True
) -> dict:
    """Make toy data and run the model's preprocessor on them."""
    lgm = find_parts(model).lgm
    data = toy_data(cfg, size, batch_size, lgm.text_dims if lgm else None)
    return model.data_preprocessor(data, training)


def training_loss(model: nn.Module, batch: dict) -> Tensor:
    """Return the sum of a detector's losses on a batch out of its preprocessor."""
    losses = model.loss(batch['inputs'], batch['data_samples'])
    return model.parse_losses(losses)[0]


@dataclass
class GradientReport:
    """Parameter names by what is wrong with their gradients.

    Attributes:
        without: Trainable, but no gradient came or it was zero.
        not_finite: Trainable, with an infinite or undefined gradient.
        frozen_with: Frozen (or in the trunk and not asked to learn), and yet with a gradient.
    """

    without: list[str] = field(default_factory=list)
    not_finite: list[str] = field(default_factory=list)
    frozen_with: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every trainable parameter learns, and no other one."""
        return not (self.without or self.not_finite or self.frozen_with)


def check_gradients(model: nn.Module, batch: dict) -> GradientReport:
    """Look at every parameter's gradient after the first optimizer steps.

    What starts at zero holds back what lies behind it: in the first step the adapters' ``gamma`` and
    the LGM's last layers, in the second the offsets and weights of the deformable attention, which
    cut off its query. Hence ``WAKING_STEPS`` steps are made before gradients are read.

    Args:
        model: A detector with random weights, which are changed.
        batch: What the preprocessor returned.
    """
    model.train()
    trunk = find_parts(model).trunk.eval()  # stochastic depth would take gradients away
    frozen = {id(p) for n, p in trunk.named_parameters() if n not in trunk.learnt}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    for _ in range(WAKING_STEPS):
        training_loss(model, batch).backward()
        optimizer.step()
        model.zero_grad()
    training_loss(model, batch).backward()
    report = GradientReport()
    for name, param in model.named_parameters():
        grad = param.grad
        if not param.requires_grad or id(param) in frozen:
            if param.requires_grad or grad is not None:
                report.frozen_with.append(name)
        elif grad is None or not grad.any():
            report.without.append(name)
        elif not grad.isfinite().all():
            report.not_finite.append(name)
    model.zero_grad()
    return report


def check_size(cfg: Config, size: tuple[int, int]) -> None:
    """Raise InputError unless a size is one that the preprocessor would not pad."""
    divisor = (cfg.model.get('data_preprocessor') or {}).get('pad_size_divisor', 32)
    if size[0] % divisor or size[1] % divisor:
        raise InputError(f'--size {size[0]}x{size[1]}: wanted multiples of {divisor}')
