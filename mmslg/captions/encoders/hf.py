"""Text encoders of Hugging Face transformers: BERT, RoBERTa, sentence encoders, CLIP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
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

MOST_TOKENS = 512
"""Tokens read of a text at most, for models that set no limit themselves."""

_CLIP = ('clip', 'clip_text_model')
_UNUSED = ('pooler.',)
"""Weights that mean pooling does not use, and that may be missing from a checkpoint."""


@TEXT_ENCODERS.register_module(name='hf')
class HuggingFaceTextEncoder(NetworkTextEncoder):
    """A frozen text encoder of transformers.

    CLIP gives its own projected vector, any other encoder the mean of the last layer over the tokens of
    the text, start and end included, as sentence encoders are trained; not normalised. Tokens are the last
    layer's, for CLIP projected likewise. Of an encoder-decoder the encoder is taken.

    Args:
        model: Name on the hub or a folder, with tokenizer and weights.
        pooling: ``'pooled'`` or ``'tokens'``.
        max_tokens: See :class:`NetworkTextEncoder`.
        batch_size: Texts that run at a time.
        device: See :class:`NetworkTextEncoder`.

    Raises:
        InputError: transformers is not installed, or the model cannot be loaded, lacks weights or is no
            text encoder.

    Example:
        >>> encoder = HuggingFaceTextEncoder('sentence-transformers/all-MiniLM-L6-v2')
        >>> encoder.encode(['dimly lit night', 'foggy night']).shape
        (2, 384)
    """

    name = 'hf'

    def __init__(
        self,
        model: str,
        pooling: str = 'pooled',
        max_tokens: int = MAX_TOKENS,
        batch_size: int = 64,
        device: str | None = None,
    ) -> None:
        super().__init__(pooling, max_tokens, batch_size, device)
        transformers = require('transformers', self.name)
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(model, trust_remote_code=False)
            network, missing = _load(transformers, model)
        except Exception as error:  # transformers raises whatever the hub, torch or a broken file raised
            raise InputError(f'hf: {model} cannot be loaded ({first_line(error)})') from None
        missing = [name for name in missing if not name.startswith(_UNUSED)]
        if missing:
            raise InputError(
                f'hf: {model} lacks {len(missing)} tensors of {type(network).__name__}, such as '
                f'{missing[0]}, and would run with random ones; take a complete checkpoint'
            )
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        if self._tokenizer.pad_token is None:
            raise InputError(f'hf: the tokenizer of {model} has no token to pad with; take another model')
        self._tokenizer.padding_side = 'right'
        self._projection = getattr(network, 'text_projection', None)
        self._network = freeze(network, self.device)
        self._limit = _most_tokens(self._tokenizer, network)
        if pooling == 'tokens':
            self._limit = min(self._limit, max_tokens)
        tensors = network.state_dict()
        self.weights = hash_weights({n: t for n, t in tensors.items() if not n.startswith(_UNUSED)})
        # A folder is known by its last name: where it lies says nothing about the weights.
        name = os.path.basename(os.path.abspath(model)) if os.path.isdir(model) else model
        self.model = f'{name}@{self.weights[:12]}'
        try:
            self.width = self._run(['a'])[0].shape[-1]
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            raise InputError(f'hf: {model} is no text encoder ({first_line(error)})') from None

    def _encode_batch(self, texts: list[str]) -> Tensor:
        lengths = self._tokenizer(texts, verbose=False)['input_ids']
        self.truncated += sum(len(ids) > self._limit for ids in lengths)
        pooled, tokens, present = self._run(texts)
        return pooled if self.pooling == 'pooled' else self._fit(tokens, present)

    def _run(self, texts: list[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Return pooled vectors ``(n, d)``, tokens ``(n, l, d)`` and which of them are text."""
        batch = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self._limit, return_tensors='pt'
        )
        present = batch['attention_mask'].to(self.device)
        with torch.inference_mode():
            output = self._network(input_ids=batch['input_ids'].to(self.device), attention_mask=present)
        tokens = output.last_hidden_state
        if self._projection is not None:
            return output.text_embeds, self._projection(tokens), present
        counted = present[..., None].to(tokens.dtype)
        return (tokens * counted).sum(1) / counted.sum(1).clamp(min=1), tokens, present


def _load(transformers: Any, model: str) -> tuple[nn.Module, list[str]]:
    """Return the network and the weights that its checkpoint lacks or has in another shape."""
    config = transformers.AutoConfig.from_pretrained(model, trust_remote_code=False)
    factory = transformers.AutoModel
    if config.model_type in _CLIP:
        factory = transformers.CLIPTextModelWithProjection
        if config.model_type == 'clip':
            width, config = config.projection_dim, config.text_config
            config.projection_dim = width
    elif hasattr(config, 'vision_config'):
        raise ValueError(f'a {config.model_type} model; of those with images only CLIP is supported')
    with _quiet(transformers):
        network, info = factory.from_pretrained(
            model,
            config=config,
            trust_remote_code=False,
            weights_only=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    mismatched = {entry[0] for entry in info['mismatched_keys']}
    missing = sorted({*info['missing_keys'], *mismatched})
    if getattr(config, 'is_encoder_decoder', False):
        return network.get_encoder(), [name for name in missing if not name.startswith('decoder.')]
    return network, missing


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Keep the image tower that is left out, and a progress bar, from the terminal."""
    logging = transformers.utils.logging
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def _most_tokens(tokenizer: Any, network: nn.Module) -> int:
    """Return how many tokens a model reads: what its tokenizer says and its table of positions holds."""
    limits = [tokenizer.model_max_length, MOST_TOKENS]
    for name, module in network.named_modules():
        if name.endswith(('position_embedding', 'position_embeddings')) and isinstance(module, nn.Embedding):
            # RoBERTa counts positions from the one after the padding's.
            skipped = 0 if module.padding_idx is None else module.padding_idx + 1
            limits.append(module.num_embeddings - skipped)
    return int(min(limits))
