"""The text towers of open_clip: CLIP and its kin."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mmslg.captions.encoders.network import (
    MAX_TOKENS,
    NetworkTextEncoder,
    first_line,
    freeze,
    hash_weights,
    require,
)
from mmslg.errors import InputError
from mmslg.registry import TEXT_ENCODERS

_SCHEMAS = ('hf-hub:', 'local-dir:')
_OPENAI_NOTES = ('input_resolution', 'context_length', 'vocab_size')
"""Numbers that the state dict of OpenAI's checkpoints holds besides the weights."""
_TINY_VISION = dict(layers=1, width=8, head_width=8, patch_size=16, image_size=16)
"""Stands in for the image tower where only the text tower is loaded."""


@TEXT_ENCODERS.register_module(name='open_clip')
class OpenClipTextEncoder(NetworkTextEncoder):
    """The frozen text tower of an open_clip model, as ``encode_text`` runs it, not normalised.

    Tokens are those behind the last norm, projected like the pooled vector, up to the end-of-text token;
    so the token at which CLIP pools equals the pooled vector.

    Args:
        model: Architecture, such as ``ViT-B-16``, or ``local-dir:FOLDER`` or ``hf-hub:ORGANISATION/NAME``
            with an ``open_clip_config.json`` and weights.
        pretrained: Tag of published weights, such as ``laion2b_s34b_b88k``, or a checkpoint file: a state
            dict in .pt, .bin or .safetensors, of the whole model or its text tower, with the names of
            open_clip or OpenAI. Not with a ``local-dir:`` or ``hf-hub:`` model.
        pooling: ``'pooled'`` or ``'tokens'``.
        max_tokens: See :class:`NetworkTextEncoder`.
        batch_size: Texts that run at a time.
        device: See :class:`NetworkTextEncoder`.

    Raises:
        InputError: open_clip is not installed, or the model or its weights cannot be loaded.

    Example:
        >>> encoder = OpenClipTextEncoder('ViT-B-16', 'laion2b_s34b_b88k')
        >>> encoder.encode(['dimly lit night', 'foggy night']).shape
        (2, 512)
    """

    name = 'open_clip'

    def __init__(
        self,
        model: str,
        pretrained: str | None = None,
        pooling: str = 'pooled',
        max_tokens: int = MAX_TOKENS,
        batch_size: int = 64,
        device: str | None = None,
    ) -> None:
        super().__init__(pooling, max_tokens, batch_size, device)
        open_clip = require('open_clip', self.name)
        clip = _load(open_clip, model, pretrained)
        # Custom models keep the text tower apart; in the first one its layers lie beside the image tower.
        self._tower = getattr(clip, 'text', None) or clip
        clip.visual = None
        self._clip = freeze(clip, self.device)
        try:
            self._tokenizer = open_clip.get_tokenizer(model)
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            raise InputError(f'open_clip: no tokenizer for {model} ({first_line(error)})') from None
        weights = {name: tensor for name, tensor in clip.state_dict().items() if 'logit_' not in name}
        self.weights = hash_weights(weights)
        source = '' if pretrained is None else f'/{Path(pretrained).name}'
        self.model = f'{model}{source}@{self.weights[:12]}'
        self.width = self._encode_ids(self._ids(['a']))[0].shape[-1]
        if pooling == 'tokens':
            self._check_tokens(model)

    def _encode_batch(self, texts: list[str]) -> Tensor:
        ids = self._ids(texts)
        pooled, hidden = self._encode_ids(ids)
        limit = ids.shape[1]
        if self.pooling == 'tokens':
            limit = min(limit, self.max_tokens)
        self.truncated += sum(self._length(text) > limit for text in texts)
        if self.pooling == 'pooled':
            return pooled
        return self._fit(self._project(hidden), self._present(ids))

    def _ids(self, texts: list[str]) -> Tensor:
        return self._tokenizer(texts).to(self.device)

    def _encode_ids(self, ids: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return pooled vectors and, where the tower has a last norm, what that gave."""
        caught: list[Tensor] = []
        norm = getattr(self._tower, 'ln_final', None)
        hook = norm and norm.register_forward_hook(lambda _, __, output: caught.append(output))
        try:
            pooled = self._clip.encode_text(ids)
        finally:
            if hook:
                hook.remove()
        return pooled, caught[0] if caught else None

    def _check_tokens(self, model: str) -> None:
        ids = self._ids(['a'])
        hidden = self._encode_ids(ids)[1]
        if hidden is None or hidden.shape[:2] != ids.shape:
            raise InputError(f'the text tower of {model} gives no tokens; take the pooling pooled')

    def _project(self, hidden: Tensor) -> Tensor:
        projection = getattr(self._tower, 'text_projection', None)
        if projection is None:
            return hidden
        return projection(hidden) if isinstance(projection, nn.Module) else hidden @ projection

    def _present(self, ids: Tensor) -> Tensor:
        """Return which tokens are text, not padding."""
        pooling = getattr(self._tower, 'text_pool_type', getattr(self._tower, 'pool_type', 'argmax'))
        if pooling == 'argmax':  # the end-of-text token has the largest number, and 0 is a real token
            return torch.arange(ids.shape[1], device=ids.device) <= ids.argmax(1, keepdim=True)
        return ids != getattr(self._tower, 'pad_id', 0)

    def _length(self, text: str) -> int:
        """Return the number of tokens of a text that is not cut, start and end included."""
        if hasattr(self._tokenizer, 'encode'):
            return len(self._tokenizer.encode(text)) + 2
        inner = getattr(self._tokenizer, 'tokenizer', None)
        return len(inner(text)['input_ids']) if inner is not None else 0


def _load(open_clip: Any, model: str, pretrained: str | None) -> nn.Module:
    folder_model = model.startswith(_SCHEMAS)
    if not folder_model and model not in open_clip.list_models():
        raise InputError(
            f'open_clip knows no model {model!r}; it knows ViT-B-16, ViT-B-32, ViT-L-14 and others that '
            'open_clip.list_models() names, and takes local-dir:FOLDER'
        )
    if folder_model == (pretrained is not None):
        what = 'brings its own weights: leave out' if folder_model else 'needs weights: add'
        raise InputError(f'open_clip: the model {model} {what} --pretrained (a tag or a checkpoint file)')
    tags = [] if folder_model else open_clip.list_pretrained_tags_by_model(model)
    if pretrained is not None and pretrained not in tags:
        if not Path(pretrained).is_file():
            raise InputError(
                f'open_clip: {pretrained} is neither a file nor a tag of {model}; its tags: '
                f'{", ".join(tags) or "none"}'
            )
        return _load_file(open_clip, model, pretrained)
    if pretrained is not None:
        quick = bool((open_clip.get_pretrained_cfg(model, pretrained) or {}).get('quick_gelu'))
        _check_activation(open_clip, model, pretrained, quick)
    try:
        with _silent():
            return open_clip.create_model(
                model, pretrained=pretrained, require_pretrained=True, weights_only=True, device='cpu'
            )
    except Exception as error:  # open_clip raises whatever the hub, torch or a broken file raised
        raise InputError(f'open_clip: {model} cannot be loaded ({first_line(error)})') from None


def _check_activation(open_clip: Any, model: str, pretrained: str, quick: bool) -> None:
    """Refuse weights trained with another activation, with which open_clip goes on after a warning."""
    if quick == bool(open_clip.get_model_config(model).get('quick_gelu')):
        return
    other = f'{model}-quickgelu' if quick else model.removesuffix('-quickgelu')
    raise InputError(
        f'open_clip: {pretrained} was trained with{"" if quick else "out"} QuickGELU and {model} is built '
        f'with{"out" if quick else ""} it; take --model {other}'
    )


def _load_file(open_clip: Any, model: str, path: str) -> nn.Module:
    """Build the text tower alone and fill it from a checkpoint file."""
    state = _read_state(path)
    if all(note in state for note in _OPENAI_NOTES):
        _check_activation(open_clip, model, path, quick=True)
    try:
        with _silent():
            clip = open_clip.create_model(
                model, load_weights=False, pretrained_text=False, vision_cfg=_TINY_VISION
            )
    except (RuntimeError, OSError, ValueError, ImportError) as error:
        raise InputError(f'open_clip: {model} cannot be built ({first_line(error)})') from None
    wanted = {
        name: tensor
        for name, tensor in clip.state_dict().items()
        if not name.startswith(('visual.', 'logit_'))
    }
    found = {name: _find(state, name) for name in wanted}
    missing = [name for name, tensor in found.items() if tensor is None]
    if missing:
        raise InputError(
            f'{path}: no checkpoint of {model}: {len(missing)} of the {len(wanted)} tensors of its text '
            f'tower are missing, such as {missing[0]}'
        )
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape:
            raise InputError(
                f'{path}: no checkpoint of {model}: {name} is {tuple(tensor.shape)}, wanted '
                f'{tuple(wanted[name].shape)}'
            )
    layers = _num_layers(state), _num_layers(wanted)
    if layers[0] != layers[1]:
        raise InputError(f'{path}: no checkpoint of {model}: {layers[0]} layers of text, wanted {layers[1]}')
    clip.load_state_dict(found, strict=False)
    return clip


@contextmanager
def _silent() -> Iterator[None]:
    """Keep open_clip's log from the terminal: what it warns of is checked here, its errors are raised too."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(level)


def _find(state: dict[str, Tensor], name: str) -> Tensor | None:
    # The text tower is kept under 'text.' in some models and beside the image tower in others.
    other = name.removeprefix('text.') if name.startswith('text.') else f'text.{name}'
    return state.get(name, state.get(other))


def _num_layers(state: dict[str, Tensor]) -> int:
    names = [name.removeprefix('text.') for name in state]
    return len({name.split('.')[2] for name in names if name.startswith('transformer.resblocks.')})


def _read_state(path: str) -> dict[str, Any]:
    try:
        if Path(path).suffix == '.safetensors':
            state = load_file(path)
        else:
            state = torch.load(path, map_location='cpu', weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        hint = ''
        if 'TorchScript' in str(error):
            hint = '; it is a TorchScript archive: save its state_dict(), or take the tag openai'
        raise InputError(
            f'{path}: not a checkpoint that can be loaded ({first_line(error, 150)}){hint}'
        ) from None
    if isinstance(state, dict) and isinstance(state.get('state_dict'), dict):
        state = state['state_dict']
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise InputError(f'{path}: wanted a state dict, got {type(state).__name__}')
    return {name.removeprefix('module.'): value for name, value in state.items()}
