"""The frozen vision transformer of timm; its weights are read by ``trunk_weights.py``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import timm
import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as run_checkpointed

from mmslg.errors import InputError
from mmslg.models.backbones.trunk_weights import FILTERS, LoadReport, describe, fingerprint, load_weights

_DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}


class FrozenTrunk(nn.Module):
    """A timm ViT of the DINOv2 or DINOv3 family whose weights never change.

    It runs as an explicit loop over blocks, so that adapters can stand in between. It stays in eval
    mode (stochastic depth!) and none of its parameters asks for a gradient. Position embeddings are
    resampled once per input size.

    In half precision the blocks' matrices are stored in it, and attention and MLPs run in it; embedding,
    norms, LayerScale and the sum over the blocks stay float32, so tokens are float32 wherever an adapter
    meets them. Moving the whole model to another type (``.float()``, ``.half()``) moves the trunk as well:
    it always runs in the type that its weights are stored in.

    Args:
        name: timm model, such as ``vit_base_patch14_dinov2``, ``vit_small_patch14_reg4_dinov2`` or
            ``vit_base_patch16_dinov3``.
        checkpoint: None for random weights, ``'pretrained'`` for timm's published ones (downloaded), or
            a local file as the authors or timm publish it (.pth, .safetensors).
        patch_size: Patch side in pixels; weights of another one are resampled.
        dtype: ``'float32'``, ``'bfloat16'`` (float32 on a GPU without it; the log says so), or
            ``'float16'``, for inference alone: without a loss scaler small gradients vanish in it.
        **kwargs: Further options of the timm model, such as ``depth`` and ``embed_dim`` for a small one.

    Attributes:
        report: The :class:`LoadReport`, None for random weights.
        origin: The argument ``checkpoint``.
        fingerprint: SHA-256 of the weights of the file, by which they are known again: names, shapes and
            float32 values of all tensors but patch embedding and positions, which are resampled. None for
            random weights.
        replaced: Names of frozen tensors that have other values since, out of a checkpoint of a training.

    Raises:
        InputError: The model is not of these families, the checkpoint does not fit, or ``dtype`` is another.
    """

    def __init__(
        self,
        name: str,
        checkpoint: str | None = None,
        patch_size: int = 16,
        dtype: str = 'float32',
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if dtype not in _DTYPES:
            raise InputError(f'trunk dtype={dtype!r}: wanted {", ".join(_DTYPES)}')
        if not ('dinov2' in name or 'dinov3' in name):
            raise InputError(f'wanted a DINOv2 or DINOv3 model of timm, got {name!r}')
        kwargs = dict(patch_size=patch_size, dynamic_img_size=True, num_classes=0, **kwargs)
        try:
            self.vit = timm.create_model(name, pretrained=checkpoint == 'pretrained', **kwargs)
        except RuntimeError as error:
            raise InputError(f'timm cannot build the trunk {name!r}: {error}') from error
        except (OSError, ValueError) as error:
            if checkpoint != 'pretrained':
                raise
            raise InputError(
                f'the published weights of {name} cannot be downloaded ({type(error).__name__}); put the '
                'file on this machine and set checkpoint=PATH'
            ) from error
        if type(self.vit) not in FILTERS or getattr(self.vit, 'rope_mixed', False):
            raise InputError(
                f'wanted a DINOv2 or DINOv3 trunk, timm builds {name!r} as {type(self.vit).__name__}'
            )
        # The weights are final: without this mark MMEngine's init_weights() would draw them anew.
        self.vit.is_init = self.is_init = True
        self.name = name
        self.origin = checkpoint
        self.patch_size = patch_size
        self.embed_dims: int = self.vit.embed_dim
        self.depth = len(self.vit.blocks)
        self.num_prefix_tokens: int = self.vit.num_prefix_tokens
        self.report: LoadReport | None = None
        self._positions: dict[tuple, tuple[Tensor, Tensor | None]] = {}
        if checkpoint == 'pretrained':
            self.report = describe(self.vit, f'timm {name}')
        elif checkpoint is not None:
            self.report = load_weights(self.vit, Path(checkpoint))
        self.fingerprint: str | None = None
        self.replaced: set[str] = set()
        if self.report:
            print_log(str(self.report), 'current')
            self.fingerprint = fingerprint(self.vit.state_dict())
        self.requires_grad_(False)
        self._store(_DTYPES[dtype])
        self.eval()

    @property
    def dtype(self) -> torch.dtype:
        """The type that the blocks' matrices are stored in, and run in."""
        return _dtype_of(self.vit.blocks[0])

    @property
    def source(self) -> dict[str, Any] | None:
        """What a checkpoint has to name in the place of the trunk's weights; None for random ones."""
        if self.fingerprint is None:
            return None
        positions = getattr(self.vit, 'pos_embed', None)
        return dict(
            name=self.name,
            fingerprint=self.fingerprint,
            patch_size=self.patch_size,
            positions=0 if positions is None else positions.shape[1],
        )

    def fetchable(self) -> set[str]:
        """Names of the tensors that the trunk's own file can bring again: none if weights are random."""
        if self.fingerprint is None:
            return set()
        learnt = {name for name, param in self.named_parameters() if param.requires_grad}
        return set(self.state_dict()) - learnt - self.replaced

    def _store(self, dtype: torch.dtype) -> None:
        """Store the matrices of the frozen blocks in a type that the device can run."""
        lacks_it = torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False)
        if dtype == torch.bfloat16 and lacks_it:
            print_log(
                'this GPU has no bfloat16: the frozen trunk runs in float32', 'current', logging.WARNING
            )
            return
        for layer in self.vit.blocks.modules():
            if isinstance(layer, nn.Linear) and not layer.weight.requires_grad:
                layer.to(dtype)

    def train(self, mode: bool = True) -> FrozenTrunk:
        """Stay in eval mode whatever ``mode`` says."""
        return super().train(False)

    def init_weights(self) -> None:
        """Keep the weights; MMEngine calls this on every module that has it."""

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._positions.clear()
        super()._load_from_state_dict(*args, **kwargs)

    def _apply(self, *args: Any, **kwargs: Any) -> nn.Module:
        self._positions.clear()
        return super()._apply(*args, **kwargs)

    @torch.no_grad()
    def _position(self, height: int, width: int, like: Tensor) -> tuple[Tensor, Tensor | None]:
        """What timm adds to a grid of patches: prefix tokens with positions, and the rotary embedding."""
        key = (height, width, like.dtype)
        if key not in self._positions:
            if len(self._positions) >= 64:  # multi-scale training: bound what is kept
                self._positions.clear()
            added = self.vit._pos_embed(like.new_zeros(1, height, width, self.embed_dims))
            self._positions[key] = added if isinstance(added, tuple) else (added, None)
        return self._positions[key]

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Cut images into tokens with positions.

        Args:
            images: Normalised images ``(B, 3, H, W)``, H and W multiples of the patch size.

        Returns:
            Tokens ``(B, P + N, C)``, the P class and register tokens first, and the rotary embedding for
            :meth:`run_blocks` (None for DINOv2).
        """
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            patches = self.vit.patch_embed(images)
            added, rope = self._position(patches.shape[1], patches.shape[2], patches)
            tokens = patches.flatten(1, 2) + added[:, self.num_prefix_tokens :]
            prefix = added[:, : self.num_prefix_tokens].expand(len(images), -1, -1)
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
            if checkpointed and tokens.requires_grad:
                tokens = run_checkpointed(_run_block, block, tokens, use_reentrant=False, **options)
            else:
                tokens = _run_block(block, tokens, **options)
        return tokens

    def norm(self, tokens: Tensor) -> Tensor:
        """Apply the trunk's final norm."""
        return self.vit.norm(tokens)


def _dtype_of(block: nn.Module) -> torch.dtype:
    return block.attn.proj.weight.dtype


def _run_block(block: nn.Module, tokens: Tensor, **options: Any) -> Tensor:
    """Run a block in the type of its matrices, with the sum over the blocks in that of the tokens."""
    dtype = _dtype_of(block)
    if dtype == torch.float16 and tokens.requires_grad:
        raise InputError(
            'the trunk in float16 serves inference: in training small gradients would vanish in it; '
            "set model.backbone.trunk.dtype='bfloat16', or 'float32' with --amp"
        )
    if dtype == tokens.dtype or dtype not in (torch.bfloat16, torch.float16):
        return block(tokens, **options)
    with torch.autocast(tokens.device.type, dtype):
        return block(tokens, **options)
