"""Layer-wise learning-rate decay over the adapters."""

from __future__ import annotations

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmslg.errors import InputError
from mmslg.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Group trainable parameters by depth, and by whether weight decay applies.

    Adapter i of n learns at ``decay_rate ** (n - 1 - i)`` of the base rate, everything else at the full
    rate (Section IV-B of arXiv:2601.02249); blocks of the trunk that learn, and its embedding, at rates that
    fall with their distance from the end (arXiv:2203.16527). The backbone answers ``get_layer_depth(name)``.

    Weight decay takes the matrices and kernels: parameters of more than one dimension that their layer calls
    a weight. Vectors (biases, norms, ``gamma``) and embeddings of queries, levels, labels, positions and
    prefix tokens take none, as in Mask2Former's recipe (arXiv:2112.01527): they are added or compared, and
    pulling them to zero regularises nothing. Frozen parameters are left out.

    Use::

        optim_wrapper = dict(
            constructor='mmslg.LayerDecayOptimWrapperConstructor',
            paramwise_cfg=dict(_delete_=True, decay_rate=0.7))

    Raises:
        InputError: ``paramwise_cfg`` has other keys, or the backbone does not know its depths.
    """

    def add_params(self, params: list[dict], module: nn.Module, **kwargs) -> None:
        """Append one group per depth and decay, in order of depth."""
        if set(self.paramwise_cfg) != {'decay_rate'}:
            raise InputError(
                f'{type(self).__name__} wants paramwise_cfg=dict(decay_rate=...), got keys '
                f"{sorted(self.paramwise_cfg)}; the head's own paramwise_cfg goes with _delete_=True"
            )
        backbone = getattr(module, 'backbone', None)
        if not hasattr(backbone, 'get_layer_depth'):
            raise InputError(f'{type(backbone).__name__} has no get_layer_depth; use the stock constructor')
        decay_rate = self.paramwise_cfg['decay_rate']
        groups: dict[tuple[int, bool], dict] = {}
        num_depths = backbone.get_layer_depth('')[1]
        decaying = {
            id(param)
            for layer in module.modules()
            if not isinstance(layer, nn.Embedding)
            for name, param in layer.named_parameters(recurse=False)
            if param.ndim > 1 and name.endswith('weight')  # in_proj_weight is PyTorch's attention
        }
        for name, param in module.named_parameters():
            if not param.requires_grad:
                continue
            depth = backbone.get_layer_depth(name)[0] if name.startswith('backbone.') else num_depths - 1
            decays = id(param) in decaying
            scale = decay_rate ** (num_depths - 1 - depth)
            group = groups.setdefault(
                (depth, decays),
                {
                    'params': [],
                    'lr': self.base_lr * scale,
                    'weight_decay': (self.base_wd or 0.0) if decays else 0.0,
                    'param_names': [],
                },
            )
            group['params'].append(param)
            group['param_names'].append(name)
        for (depth, decays), group in sorted(groups.items()):
            print_log(
                f'depth {depth}, {"decay" if decays else "no decay"}: lr {group["lr"]:.3g}, weight decay '
                f'{group["weight_decay"]:g}, {len(group["params"])} tensors, '
                f'{sum(p.numel() for p in group["params"])} parameters',
                'current',
            )
            params.append(group)
