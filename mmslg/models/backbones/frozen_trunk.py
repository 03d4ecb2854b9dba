"""The frozen vision transformer of timm; its weights are read by ``trunk_weights.py``."""

from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as run_checkpointed

from mmslg.errors import InputError
from mmslg.models.backbones.lora import add_lora
from mmslg.models.backbones.trunk_blocks import (
    dtype_of,
    learning_blocks,
    learns,
    run_block,
    store_frozen,
)
from mmslg.models.backbones.trunk_weights import (
    SHIPPED,
    LoadReport,
    build_vit,
    describe,
    fingerprint,
    load_weights,
)

_KEPT_SIZES = 8

_DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}


class FrozenTrunk(nn.Module):
    """A timm ViT of the DINOv2 or DINOv3 family whose weights do not change unless ``trainable`` says so.

    It runs as an explicit loop over blocks, so that adapters can stand in between. What is frozen stays
    in eval mode (stochastic depth!), and none of its parameters asks for a gradient. Position embeddings
    keep the grid that they are published on and are resampled from it once per input size; the last few
    are kept.

    In half precision the blocks' matrices are stored in it, and attention and MLPs run in it; embedding,
    norms, LayerScale and the sum over the blocks stay float32, so tokens are float32 wherever an adapter
    meets them. Moving the whole model to another type (``.float()``, ``.half()``) moves the trunk as well:
    it always runs in the type that its weights are stored in.

    Args:
        name: timm model, such as ``vit_base_patch14_dinov2``, ``vit_small_patch14_reg4_dinov2`` or
            ``vit_base_patch16_dinov3``.
        checkpoint: None for random weights, ``'pretrained'`` for timm's published ones (downloaded), a
            local file as the authors or timm publish it (.pth, .safetensors), or ``'miniature'``: the small
            one within this package.
        patch_size: Patch side in pixels; weights of another one are resampled.
        dtype: ``'float32'``, ``'bfloat16'`` (float32 on a GPU without it; the log says so), or
            ``'float16'``, for inference alone: without a loss scaler small gradients vanish in it. What
            learns is float32 whatever it says.
        trainable: How many of the last blocks learn, the final norm with them, or ``'all'``: patch
            embedding, prefix tokens and positions too.
        lora: Options of peft's ``LoraConfig`` (``r``, ``lora_alpha``, ``target_modules``, ...) for low-rank
            updates of the blocks' matrices, by default those of attention (``qkv``, ``proj``). They start
            at zero change. None: no updates.
        **kwargs: Further options of the timm model, such as ``depth`` and ``embed_dim`` for a small one.

    Attributes:
        report: The :class:`LoadReport`, None for random weights.
        origin: The argument ``checkpoint``.
        fingerprint: SHA-256 of the weights of the file, by which they are known again: names, shapes and
            float32 values of all tensors but patch embedding and positions, which are resampled. None for
            random weights.
        replaced: Names of frozen tensors that have other values since, out of a checkpoint of a training.

    Raises:
        InputError: The model is not of these families, the checkpoint does not fit, ``dtype``,
            ``trainable`` or ``lora`` is none of these, or peft is not installed.
    """

    def __init__(
        self,
        name: str,
        checkpoint: str | None = None,
        patch_size: int = 16,
        dtype: str = 'float32',
        trainable: int | str = 0,
        lora: dict | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if dtype not in _DTYPES:
            raise InputError(f'trunk dtype={dtype!r}: wanted {", ".join(_DTYPES)}')
        if checkpoint is not None and not isinstance(checkpoint, (str, Path)):
            raise InputError(
                f"trunk checkpoint={checkpoint!r:.60}: wanted a path, 'pretrained', 'miniature' or None"
            )
        self.vit = build_vit(name, checkpoint == 'pretrained', patch_size, kwargs)
        # The weights are final: without this mark MMEngine's init_weights() would draw them anew.
        self.vit.is_init = self.is_init = True
        self.name = name
        self.origin = checkpoint
        self.patch_size = patch_size
        self.embed_dims: int = self.vit.embed_dim
        self.depth = len(self.vit.blocks)
        self.num_prefix_tokens: int = self.vit.num_prefix_tokens
        self.report: LoadReport | None = None
        self._positions: OrderedDict[tuple[int, int], tuple[Tensor, Tensor | None]] = OrderedDict()
        self._fixed: tuple[Tensor, Tensor | None] | None = None
        if checkpoint == 'pretrained':
            self.report = describe(self.vit, f'timm {name}')
        elif checkpoint is not None:
            self.report = load_weights(self.vit, checkpoint)
        self.fingerprint: str | None = None
        self.replaced: set[str] = set()
        if self.report:
            print_log(str(self.report), 'current')
            self.fingerprint = fingerprint(self.vit.state_dict())
        self.trainable = learning_blocks(trainable, lora, self.depth)
        self.embedding_learns = trainable == 'all'
        self.requires_grad_(False)
        if lora is not None:
            add_lora(self.vit.blocks, lora)
        elif self.trainable:
            for part in (
                self.vit if self.embedding_learns else self.vit.blocks[-self.trainable :],
                self.vit.norm,
            ):
                part.requires_grad_(True)
        self.learnt = frozenset(name for name, param in self.named_parameters() if param.requires_grad)
        store_frozen(self.vit.blocks, _DTYPES[dtype])
        self.eval()

    @property
    def dtype(self) -> torch.dtype:
        """The type that the blocks' matrices are stored in, and run in."""
        return dtype_of(self.vit.blocks[0])

    @property
    def learns_itself(self) -> bool:
        """Whether the trunk's own weights learn, rather than nothing or updates beside them."""
        return any('lora_' not in name for name in self.learnt)

    @property
    def source(self) -> dict[str, Any] | None:
        """What a checkpoint has to name in the place of the trunk's weights; None for random ones."""
        if self.fingerprint is None:
            return None
        positions = getattr(self.vit, 'pos_embed', None)
        return dict(
            name=self.origin if self.origin in SHIPPED else self.name,
            fingerprint=self.fingerprint,
            patch_size=self.patch_size,
            positions=0 if positions is None else positions.shape[1],
        )

    def fetchable(self) -> set[str]:
        """Names of the tensors that the trunk's own file can bring again: none if weights are random."""
        if self.fingerprint is None:
            return set()
        learning = {name for name, param in self.named_parameters() if param.requires_grad}
        return set(self.state_dict()) - self.learnt - learning - self.replaced

    def block_of(self, name: str) -> int:
        """Return the block that a parameter of this module belongs to.

        Args:
            name: Name within this module.

        Returns:
            0 to depth - 1, -1 for what stands before the blocks, depth for the final norm.
        """
        if name.startswith('vit.blocks.'):
            return int(name.split('.')[2])
        return self.depth if name.startswith('vit.norm.') else -1

    def unfreeze(self, blocks: int) -> None:
        """Let the last blocks learn and the others rest, as far as ``trainable`` or ``lora`` lets them learn.

        The final norm goes with the last block, and what stands before the blocks with the first.
        """
        for name, param in self.named_parameters():
            if name in self.learnt:
                block = min(max(self.block_of(name), 0), self.depth - 1)
                param.requires_grad_(block >= self.depth - blocks)
        self.train(self._mode)

    def train(self, mode: bool = True) -> FrozenTrunk:
        """Put what learns into the mode; all else stays in eval mode."""
        self._mode = mode
        super().train(False)
        for block in self.vit.blocks:
            if not learns(block):
                continue
            for name, module in block.named_modules():
                # LoRA: the block is frozen, and the dropout before the update is not.
                if '.lora_dropout' in name or all(param.requires_grad for param in block.parameters()):
                    module.training = mode
        return self

    def init_weights(self) -> None:
        """Keep the weights; MMEngine calls this on every module that has it."""

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._positions.clear()
        super()._load_from_state_dict(*args, **kwargs)

    def _apply(self, *args: Any, **kwargs: Any) -> nn.Module:
        self._positions.clear()
        return super()._apply(*args, **kwargs)

    def fit_positions(self, num_positions: int) -> None:
        """Make room for the position embeddings of an older checkpoint, which come on another square grid.

        Args:
            num_positions: Length of its ``pos_embed``; one that no square grid has changes nothing.
        """
        present = getattr(self.vit, 'pos_embed', None)
        if present is None or present.shape[1] == num_positions:
            return
        patches = self.vit.patch_embed
        num_prefix = present.shape[1] - patches.num_patches
        side = math.isqrt(max(num_positions - num_prefix, 0))
        if side and side**2 + num_prefix == num_positions:
            self._positions.clear()
            # In place: an average of weights, or an optimizer, may hold the parameter already.
            present.data = present.new_zeros(1, num_positions, present.shape[2])
            patches.set_input_size(img_size=side * self.patch_size)

    def fix_positions(self, height: int, width: int) -> None:
        """Take the positions of this grid from now on, as constants, so that a graph holds no resampling."""
        self._fixed = self._resample(height, width)

    def _position(self, height: int, width: int) -> tuple[Tensor, Tensor | None]:
        """What timm adds to a grid of patches: prefix tokens with positions, and the rotary embedding."""
        if self._fixed is not None:
            return self._fixed
        # What learns changes with every step; and a look-up by size would compile every size anew.
        if self.embedding_learns or torch.compiler.is_compiling():
            return self._resample(height, width)
        key = (height, width)
        if key not in self._positions:
            self._positions[key] = self._resample(height, width)
        self._positions.move_to_end(key)
        while len(self._positions) > _KEPT_SIZES:
            self._positions.popitem(last=False)
        return self._positions[key]

    def _resample(self, height: int, width: int) -> tuple[Tensor, Tensor | None]:
        nothing = self.vit.patch_embed.proj.weight.new_zeros(1, height, width, self.embed_dims)
        added = self.vit._pos_embed(nothing)
        return added if isinstance(added, tuple) else (added, None)

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Cut images into tokens with positions.

        Args:
            images: Normalised images ``(B, 3, H, W)``, H and W multiples of the patch size.

        Returns:
            Tokens ``(B, P + N, C)``, the P class and register tokens first, and the rotary embedding for
            :meth:`run_blocks` (None for DINOv2).
        """
        with_graph = self.embedding_learns and torch.is_grad_enabled()
        with torch.set_grad_enabled(with_graph), torch.autocast(images.device.type, enabled=False):
            patches = self.vit.patch_embed(images)
            added, rope = self._position(patches.shape[1], patches.shape[2])
            tokens = patches.flatten(1, 2) + added[:, self.num_prefix_tokens :]
            prefix = added[:, : self.num_prefix_tokens].expand(images.shape[0], -1, -1)
            return self.vit.norm_pre(torch.cat([prefix, tokens], 1)), rope

    def run_blocks(
        self, tokens: Tensor, start: int, stop: int, rope: Tensor | None = None, checkpointed: bool = False
    ) -> Tensor:
        """Run blocks ``start`` to ``stop - 1`` on tokens ``(B, P + N, C)``.

        Raises:
            InputError: A gradient is to flow through blocks in float16.
        """
        options = {} if rope is None else {'rope': rope}
        for block in self.vit.blocks[start:stop]:
            if checkpointed and (tokens.requires_grad or learns(block)):
                tokens = run_checkpointed(run_block, block, tokens, use_reentrant=False, **options)
            else:
                tokens = run_block(block, tokens, **options)
        return tokens

    def norm(self, tokens: Tensor) -> Tensor:
        """Apply the trunk's final norm."""
        return self.vit.norm(tokens)
