"""What happens inside a detector on one pair: recorded by hooks, and detected again without each part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmslg.apis.inference import predict
from mmslg.apis.profiling import find_parts
from mmslg.errors import InputError
from mmslg.models.backbones import SLGViT
from mmslg.models.layers import FeatureFusionAdapter, HierarchicalStructuralAlignment, SparseAttention
from mmslg.models.necks import LanguageGuidedModulation
from mmslg.models.outputs import BackboneOutput
from mmslg.visualization.structure import Level


@dataclass(frozen=True)
class Look:
    """What the tokens took from the structural pyramid behind one block.

    Args:
        block: The block, from 0.
        centers: Centres of the tokens ``(N, 2)`` in [0, 1] of the padded image, as (x, y).
        points: Sampling points ``(N, M, L, K, 2)``, likewise.
        weights: Their weights ``(N, M, L, K)``.
        change: Length of what was added to a token, relative to the token's, mean over the tokens.
    """

    block: int
    centers: Tensor
    points: Tensor
    weights: Tensor
    change: float


@dataclass(frozen=True)
class Language:
    """What the caption did to the backbone's map (Eq. 12-13).

    Args:
        scale: Scale of each channel ``(C,)``, to which 1 is added.
        shift: Shift of each channel ``(C,)``.
        change: Length of the change of the map, relative to the map's.
    """

    scale: Tensor
    shift: Tensor
    change: float


@dataclass
class Explanation:
    """What was recorded of one pair.

    Args:
        levels: The structural pyramid, finest first, without what was padded.
        looks: By adapter.
        language: None in a model without language modulation.
        found: Detections by the way they were made, ``'all'`` first.
    """

    levels: list[Level] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    language: Language | None = None
    found: dict[str, InstanceData] = field(default_factory=dict)


def explain(model: nn.Module, packed: dict) -> Explanation:
    """Detect in one packed pair, record what leads to it, and detect again without each part.

    The ways are ``all``; ``without structure``, adapters add nothing; ``without language``, the map is not
    modulated (models with a caption only); ``visible alone`` and ``infrared alone``, that image in the place
    of the other one too.

    Args:
        model: A detector in eval mode.
        packed: A sample of a test pipeline.

    Raises:
        InputError: The model's backbone is not ``mmslg.SLGViT``, or it has no structure encoder.
    """
    parts = find_parts(model)
    if parts.backbone.structure_encoder is None:
        raise InputError('the backbone has no structure encoder (interaction_indexes=[]): nothing to explain')
    explanation = Explanation()
    with _recorded(parts.backbone, parts.lgm, explanation):
        explanation.found['all'] = predict(model, packed)
    height, width = packed['data_samples'].img_shape[:2]
    explanation.levels = [_cut(level, height, width) for level in explanation.levels]
    ways: dict[str, Callable] = {'without structure': without_structure(model)}
    if parts.lgm is not None:
        ways['without language'] = without_language(model)
    ways |= {'visible alone': one_modality(model, 'rgb'), 'infrared alone': one_modality(model, 'ir')}
    for name, way in ways.items():
        with way:
            explanation.found[name] = predict(model, packed)
    return explanation


@contextmanager
def _recorded(
    backbone: SLGViT, lgm: LanguageGuidedModulation | None, explanation: Explanation
) -> Iterator[None]:
    """Record what the modules are given and return, as long as the body runs."""
    strides = iter(backbone.structure_encoder.strides)
    blocks = iter(backbone.interaction_indexes)
    looked: list[list[Tensor]] = []

    def on_alignment(module: HierarchicalStructuralAlignment, args: tuple, fused: Tensor) -> None:
        maps = [*module.gradients(*args), *module.weights(*args), fused.float().square().mean(1, True).sqrt()]
        explanation.levels.append(Level(next(strides), *(m[0, 0].cpu().numpy() for m in maps)))

    def on_attention(module: SparseAttention, args: tuple, out: Tensor) -> None:
        query, _, shapes, centers = args
        points, weights = module.sampling_points(query, shapes, centers)
        looked.append([m.float().cpu() for m in (centers, points[0], weights[0])])

    def on_adapter(module: FeatureFusionAdapter, args: tuple, out: Tensor) -> None:
        tokens = args[0]
        change = ((out - tokens).norm(dim=-1) / tokens.norm(dim=-1).clamp(min=1e-12)).mean().item()
        explanation.looks.append(Look(next(blocks), *looked.pop(), change))

    def on_language(
        module: LanguageGuidedModulation, args: tuple[BackboneOutput], out: BackboneOutput
    ) -> None:
        scale, shift = module.modulation.parameters_of(args[0].text)
        before, after = args[0].maps[0].float(), out.maps[0].float()
        change = ((after - before).norm() / before.norm().clamp(min=1e-12)).item()
        explanation.language = Language(scale[0].float().cpu(), shift[0].float().cpu(), change)

    with ExitStack() as stack:
        hooks = [backbone.structure_encoder.alignment.register_forward_hook(on_alignment)]
        for adapter in backbone.adapters:
            hooks.append(adapter.attention.register_forward_hook(on_attention))
            hooks.append(adapter.register_forward_hook(on_adapter))
        hooks += [lgm.register_forward_hook(on_language)] if lgm is not None else []
        for hook in hooks:
            stack.callback(hook.remove)
        yield


def _cut(level: Level, height: int, width: int) -> Level:
    """Leave out the cells that lie in the padding alone."""
    rows, columns = -(-height // level.stride), -(-width // level.stride)
    maps = {name: value for name, value in vars(level).items() if name != 'stride'}
    return Level(level.stride, **{name: value[:rows, :columns] for name, value in maps.items()})


@contextmanager
def _passed_by(modules: list[nn.Module]) -> Iterator[None]:
    """Let modules return their first input."""
    with ExitStack() as stack:
        for module in modules:
            stack.callback(module.register_forward_hook(lambda _, args, out: args[0]).remove)
        yield


def without_structure(model: nn.Module):
    """Return a context in which no adapter adds structure to the tokens."""
    return _passed_by(list(find_parts(model).backbone.adapters))


def without_language(model: nn.Module):
    """Return a context in which the caption changes nothing."""
    lgm = find_parts(model).lgm
    return _passed_by([] if lgm is None else [lgm])


@contextmanager
def one_modality(model: nn.Module, modality: str) -> Iterator[None]:
    """Feed one image in the place of the other one too, ``'rgb'`` or ``'ir'``."""
    preprocessor = model.data_preprocessor
    before = preprocessor.modality
    preprocessor.modality = modality
    try:
        yield
    finally:
        preprocessor.modality = before
