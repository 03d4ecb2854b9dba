"""SLG-ViT: a frozen ViT into which the structure of two modalities is injected.

::

    rgb (B,3,H,W) ─┬─► patches ─► blocks ─(+)─► blocks ─(+)─► ... ─(+)─► norm ─► (B,C,H/16,W/16)
                   │      frozen           ▲            ▲            ▲
    ir  (B,3,H,W) ─┴─► StructureEncoder ─► F ─evolves─► F ─► ... ──► F     (1/8, 1/16, 1/32)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmslg.errors import InputError
from mmslg.models.backbones.frozen_trunk import FrozenTrunk
from mmslg.models.layers import (
    FeatureFusionAdapter,
    SparseAttention,
    StructureEncoder,
    flatten_levels,
    token_centers,
)
from mmslg.models.outputs import BackboneOutput
from mmslg.registry import MODELS

TRUNK_INPUTS = ('rgb', 'ir', 'mean')


@MODELS.register_module()
class SLGViT(BaseModule):
    """Frozen ViT with the Structure-Aware Adapter of arXiv:2601.02249, Section III-A.

    Up to the first injection nothing asks for a gradient, so no graph is built; behind it gradients flow
    through the frozen blocks. At initialisation the output equals the bare frozen ViT's, since every
    adapter's ``gamma`` is zero.

    Args:
        trunk: Arguments of :class:`FrozenTrunk`: ``name``, ``checkpoint``, ``patch_size``, ...
        structure: Arguments of :class:`StructureEncoder`; ``out_dims`` is the width of the adapters.
        interaction_indexes: Blocks after which structure is injected, ascending. None: four, evenly
            (as many as there are blocks, if fewer). An empty list builds neither structure encoder nor
            adapters: the bare trunk, the article's baseline.
        num_heads: Heads of the sparse attention; must divide the adapters' width.
        num_points: Sampling points K per head and level.
        evolve_dims: Hidden width of the evolution MLP (Eq. 9).
        trunk_input: Which image the trunk sees, ``'rgb'`` as in the article, or ``'ir'``: at night the
            visible one is nearly empty. ``'mean'``: the mean of both, normalised, which is pixel
            concatenation for a frozen trunk: a patch embedding of six channels whose kernel is the frozen one
            twice, halved. The structure encoder sees both images always.
        with_cp: Trade time for memory: recompute the blocks' activations in the backward pass.

    Example:
        >>> backbone = SLGViT(trunk=dict(name='vit_small_patch14_dinov2'))
        >>> images = torch.rand(1, 3, 512, 640)
        >>> backbone(dict(rgb=images, ir=images)).maps[0].shape
        torch.Size([1, 384, 32, 40])
    """

    def __init__(
        self,
        trunk: dict,
        structure: dict | None = None,
        interaction_indexes: Sequence[int] | None = None,
        num_heads: int = 4,
        num_points: int = 4,
        evolve_dims: int = 64,
        trunk_input: str = 'rgb',
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        if init_cfg is not None:
            raise InputError(
                f'SLGViT takes its weights from trunk=dict(checkpoint=...), got init_cfg={init_cfg}'
            )
        if trunk_input not in TRUNK_INPUTS:
            raise InputError(f'trunk_input={trunk_input!r}: wanted {", ".join(map(repr, TRUNK_INPUTS))}')
        super().__init__()
        self.trunk_input = trunk_input
        self.trunk = FrozenTrunk(**trunk)
        depth = self.trunk.depth
        if interaction_indexes is None:
            stages = min(4, depth)
            interaction_indexes = [depth * (i + 1) // stages - 1 for i in range(stages)]
        self.interaction_indexes = tuple(interaction_indexes)
        if sorted(set(self.interaction_indexes)) != list(self.interaction_indexes) or not all(
            0 <= i < depth for i in self.interaction_indexes
        ):
            raise InputError(
                f'interaction_indexes must ascend within 0-{depth - 1}, got {interaction_indexes}'
            )
        self.with_cp = with_cp
        self.stride = self.trunk.patch_size
        self.structure_encoder: StructureEncoder | None = None
        self.adapters = nn.ModuleList()
        if self.interaction_indexes:
            self._build_adapters(structure or {}, num_heads, num_points, evolve_dims)

    def _build_adapters(self, structure: dict, num_heads: int, num_points: int, evolve_dims: int) -> None:
        self.structure_encoder = StructureEncoder(**structure)
        self.stride = max(self.structure_encoder.strides)
        struct_dims = self.structure_encoder.projections[0].out_channels
        for index in self.interaction_indexes:
            attention = SparseAttention(
                struct_dims, num_heads, len(self.structure_encoder.strides), num_points
            )
            last = index == self.interaction_indexes[-1]
            self.adapters.append(
                FeatureFusionAdapter(
                    self.trunk.embed_dims, struct_dims, attention, evolve_dims=0 if last else evolve_dims
                )
            )

    def get_layer_depth(self, param_name: str, prefix: str = 'backbone.') -> tuple[int, int]:
        """Return the depth of a parameter for layer-wise decay, and the number of depths.

        Adapter i of n has depth i + 1 of n + 1, the frozen trunk depth 0. A parameter at the last depth
        learns at the full rate; the structure encoder, which feeds every adapter, is among them.

        If blocks of the trunk learn, depths are those of a ViT of L blocks (arXiv:2203.16527): embedding 0,
        block j has j + 1 of L + 2, all else and the final norm the last; adapters keep their distance to it.
        Low-rank updates are adapters as well: they learn as the adapter behind their block does.

        Args:
            param_name: Name within the model.
            prefix: How names of this module start there.
        """
        num_adapters, num_depths = len(self.adapters), len(self.adapters) + 1
        if self.trunk.learns_itself:
            num_depths = self.trunk.depth + 2
        name = param_name.removeprefix(prefix)
        if name.startswith('adapters.'):
            return num_depths - num_adapters + int(name.split('.')[1]), num_depths
        if not name.startswith('trunk.'):
            return num_depths - 1, num_depths
        block = self.trunk.block_of(name.removeprefix('trunk.'))
        if self.trunk.learns_itself:
            return block + 1, num_depths
        if self.trunk.learnt and 0 <= block < self.trunk.depth:
            behind = sum(index >= block for index in self.interaction_indexes)
            return num_depths - max(behind, 1), num_depths
        return 0, num_depths

    def forward(self, inputs: dict[str, Tensor | None]) -> BackboneOutput:
        """Encode a batch of pairs.

        Args:
            inputs: ``rgb`` and ``ir``, normalised images ``(B, 3, H, W)``, H and W multiples of 32;
                ``text``, caption embeddings that are handed on (optional).

        Returns:
            One map ``(B, C, H/16, W/16)``, and the text.

        Raises:
            InputError: The inputs are not a pair of the same shape, or their size does not fit.
        """
        rgb, ir = self._checked(inputs)
        tokens, rope = self.trunk.embed(self._seen_by_trunk(rgb, ir))
        height, width = (side // self.trunk.patch_size for side in rgb.shape[-2:])
        num_prefix = self.trunk.num_prefix_tokens
        start = 0
        if self.structure_encoder is not None:
            struct_feats, shapes = flatten_levels(self.structure_encoder(rgb, ir))
            centers = token_centers(height, width, rgb.device)
        for index, adapter in zip(self.interaction_indexes, self.adapters):
            tokens = self.trunk.run_blocks(tokens, start, index + 1, rope, self.with_cp)
            prefix, patches = tokens[:, :num_prefix], tokens[:, num_prefix:]
            patches = adapter(patches, struct_feats, shapes, centers)
            tokens = torch.cat([prefix, patches], 1)
            if adapter.evolution is not None:
                struct_feats = adapter.evolve(struct_feats)
            start = index + 1
        tokens = self.trunk.run_blocks(tokens, start, self.trunk.depth, rope, self.with_cp)
        patches = self.trunk.norm(tokens)[:, num_prefix:]
        feats = patches.transpose(1, 2).unflatten(2, (height, width))
        return BackboneOutput((feats,), inputs.get('text'))

    def _seen_by_trunk(self, rgb: Tensor, ir: Tensor) -> Tensor:
        if self.trunk_input == 'mean':
            return (rgb + ir) / 2
        return rgb if self.trunk_input == 'rgb' else ir

    def _checked(self, inputs: dict[str, Tensor | None]) -> tuple[Tensor, Tensor]:
        if not isinstance(inputs, dict) or inputs.get('rgb') is None or inputs.get('ir') is None:
            came = sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__
            raise InputError(
                f'SLGViT wants dict(rgb, ir, text), got {came}; '
                "set data_preprocessor=dict(type='mmslg.PairedDetDataPreprocessor', ...)"
            )
        rgb, ir = inputs['rgb'], inputs['ir']
        if rgb.shape != ir.shape or rgb.ndim != 4 or rgb.shape[1] != 3:
            raise InputError(f'wanted rgb and ir (B, 3, H, W), got {tuple(rgb.shape)} and {tuple(ir.shape)}')
        if rgb.shape[-2] % self.stride or rgb.shape[-1] % self.stride:
            raise InputError(
                f'the batch is {rgb.shape[-1]}x{rgb.shape[-2]} pixels, not divisible by the stride '
                f'{self.stride}; set pad_size_divisor={self.stride} in the data_preprocessor'
            )
        return rgb, ir
