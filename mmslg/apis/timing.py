"""What a benchmark runs: the bare trunk, backbone and necks, the whole detector, and single layers."""

from __future__ import annotations

import contextlib
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmslg.apis.profiling import Parts, prepare, toy_data, training_loss
from mmslg.models.autocast import limit_autocast
from mmslg.models.backbones import FrozenTrunk
from mmslg.models.compilation import compile_features
from mmslg.models.layers import flatten_levels, token_centers
from mmslg.models.modules import first_of
from mmslg.models.necks import LanguageGuidedModulation

VARIANTS = {'trunk': 'trunk alone', 'backbone': 'backbone + necks', 'detector': 'whole detector'}
PHASES = ('forward', 'step')


class Variant(NamedTuple):
    """Something to run: inference, and one training step without the optimizer."""

    forward: Callable[[], object]
    step: Callable[[], object]


def trunk_variant(trunk: FrozenTrunk, rgb: Tensor, compiled: bool = False) -> Variant:
    """The bare frozen ViT in the precision it is stored in: all of its blocks, forward and backward."""

    def encode(tokens: Tensor, rope: Tensor | None) -> Tensor:
        return trunk.norm(trunk.run_blocks(tokens, 0, trunk.depth, rope))

    embed = trunk.embed
    if compiled:
        embed, encode = torch.compile(embed), torch.compile(encode)

    def run(learning: bool) -> Tensor:
        tokens, rope = embed(rgb)
        return encode(tokens.requires_grad_(learning), rope)

    return Variant(lambda: run(False), lambda: _backward([run(True)]))


def features_variant(backbone: nn.Module, neck: nn.Module, inputs: dict) -> Variant:
    """Backbone and necks: from the images to the pyramid; backward to every trainable parameter."""
    return Variant(lambda: neck(backbone(inputs)), lambda: _backward(neck(backbone(inputs))))


def detector_variant(model: nn.Module, batch: dict) -> Variant:
    """The whole detector: prediction with its post-processing; losses and their backward."""
    limit_autocast(model)

    def forward() -> object:
        model.eval()
        return model.predict(batch['inputs'], batch['data_samples'])

    def step() -> None:
        model.train()
        training_loss(model, batch).backward()

    return Variant(forward, step)


def _backward(outputs: Sequence[Tensor]) -> None:
    # A gradient of ones would vanish in the last norm; noise costs what real training costs.
    torch.autograd.backward(list(outputs), [torch.randn_like(out) for out in outputs])


def build_alone(
    name: str, cfg: Config, size: tuple[int, int], batch_size: int, device: str, compiled: bool = False
) -> Variant:
    """Build one variant and nothing else, to measure its memory."""
    prepare(cfg)
    preprocessor = MODELS.build(cfg.model.data_preprocessor).to(device)

    def batch(text_dims: int | None) -> dict:
        return preprocessor(toy_data(cfg, size, batch_size, text_dims), True)

    if name == 'trunk':
        trunk = FrozenTrunk(**cfg.model.backbone.trunk).to(device)
        return trunk_variant(trunk, batch(None)['inputs']['rgb'], compiled)
    if name == 'backbone':
        features = nn.Module()
        features.backbone = MODELS.build(cfg.model.backbone)
        features.neck = MODELS.build(cfg.model.neck)
        features.to(device)
        if compiled:
            compile_features(features)
        inputs = batch(_text_dims(features))['inputs']
        return features_variant(features.backbone, features.neck, inputs)
    model = MODELS.build(cfg.model).to(device)
    model.init_weights()
    if compiled:
        compile_features(model)
    return detector_variant(model, batch(_text_dims(model)))


def _text_dims(model: nn.Module) -> int | None:
    lgm = first_of(model, LanguageGuidedModulation)
    return lgm.text_dims if lgm else None


def measured_layers(parts: Parts, inputs: dict) -> dict[str, Callable[[], object]]:
    """Give every layer on top of the trunk as a call of its own, in the order of the flow."""
    backbone = parts.backbone
    rgb, ir = inputs['rgb'], inputs['ir']
    height, width = (side // parts.trunk.patch_size for side in rgb.shape[-2:])
    centers = token_centers(height, width, rgb.device)
    tokens = torch.randn(len(rgb), height * width, parts.trunk.embed_dims, device=rgb.device)
    out = backbone(inputs)
    calls: dict[str, Callable[[], object]] = {}
    if backbone.structure_encoder is not None:
        feats, shapes = flatten_levels(backbone.structure_encoder(rgb, ir))
        calls['structure encoder'] = partial(backbone.structure_encoder, rgb, ir)
    for i, adapter in enumerate(backbone.adapters):
        calls[f'adapter {i}: injection'] = partial(adapter, tokens, feats, shapes, centers)
        if adapter.evolution is not None:
            calls[f'adapter {i}: evolution'] = partial(adapter.evolve, feats)
    if parts.lgm is not None:
        calls['LGM'] = partial(parts.lgm, out)
    if parts.pyramid is not None:
        for feat, level in zip(parts.pyramid(out), parts.pyramid.levels.values()):
            stride = rgb.shape[-1] // feat.shape[-1]
            calls[f'pyramid, stride {stride}'] = partial(level, out.maps[0])
    return calls


class Clock:
    """Times calls on a device, under autocast if asked to.

    Args:
        device: ``'cpu'`` or ``'cuda'``; the latter is synchronised around each call.
        amp: Run in mixed precision.
        now: Reads the time in seconds; ``time.process_time`` counts what the process computed, whatever else
            a machine did meanwhile.
    """

    def __init__(self, device: str, amp: bool = False, now: Callable[[], float] = time.perf_counter) -> None:
        self.device = device
        self.amp = amp
        self.now = now

    @contextlib.contextmanager
    def _setting(self, phase: str) -> Iterator[None]:
        with torch.set_grad_enabled(phase == 'step'), torch.autocast(self.device, enabled=self.amp):
            yield

    def run(self, call: Callable[[], object], phase: str) -> float:
        """Run ``call`` once, with gradients if ``phase`` is ``'step'``, and return the seconds it took."""
        with self._setting(phase):
            self._synchronise()
            start = self.now()
            call()
            self._synchronise()
            return self.now() - start

    def _synchronise(self) -> None:
        if self.device == 'cuda':
            torch.cuda.synchronize()


def interleave(
    calls: dict[str, Callable[[], object]],
    phase: str,
    clock: Clock,
    repeats: int,
    after_each: Callable[[], None],
) -> dict[str, list[float]]:
    """Time calls in turn (a, b, c, a, b, c, ...) after one warm-up round, which is not counted.

    What else the machine does then hits all of them alike.

    Args:
        calls: What to run, by name.
        phase: ``'forward'`` or ``'step'``.
        clock: Measures one call.
        repeats: Counted rounds.
        after_each: Called after every call; it clears gradients and reports progress.

    Returns:
        Seconds of each round, by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for counted in [False] + [True] * repeats:
        for name, call in calls.items():
            taken = clock.run(call, phase)
            if counted:
                seconds[name].append(taken)
            after_each()
    return seconds


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, min and max."""
    return {'median': statistics.median(values), 'min': min(values), 'max': max(values)}


def ratios(seconds: Sequence[float], reference: Sequence[float]) -> dict[str, float]:
    """Return the spread of the ratios of neighbouring measurements."""
    return spread([a / b for a, b in zip(seconds, reference)])


def peak_bytes(device: str) -> int:
    """Return the most memory this process held: on the GPU in tensors, else in RAM altogether."""
    if device == 'cuda':
        return torch.cuda.max_memory_allocated()
    try:
        # ru_maxrss of a child process starts at what its parent held; VmHWM is its own.
        with open('/proc/self/status') as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith('VmHWM:'))
    except (OSError, StopIteration):
        # Nothing resets this one: what came before counts too.
        unit = 1 if sys.platform == 'darwin' else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def reset_peak(device: str) -> None:
    """Let :func:`peak_bytes` start anew from what is held now, where the system can do that."""
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        return
    with contextlib.suppress(OSError), open('/proc/self/clear_refs', 'w') as file:
        file.write('5')
