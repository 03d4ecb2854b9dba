"""Captions by a Qwen2.5-VL that runs here, through Hugging Face transformers."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from mmslg.captions.captioners.base import Captioner, CaptionFailure
from mmslg.captions.captioners.prompt import (
    INFRARED_LABEL,
    MAX_PIXELS,
    PROMPT_ID,
    VISIBLE_LABEL,
    Turn,
    interview,
    prepare_images,
)
from mmslg.captions.schema import StructuredCaption
from mmslg.errors import InputError
from mmslg.registry import CAPTIONERS

MODEL = 'Qwen/Qwen2.5-VL-7B-Instruct'
MODEL_TYPE = 'qwen2_5_vl'
DTYPES = ('auto', 'bfloat16', 'float16', 'float32')


@CAPTIONERS.register_module(name='qwen')
class QwenCaptioner(Captioner):
    """Asks a Qwen2.5-VL of any size about both images; greedy decoding, in batches.

    One process, one device, which the model must fit on. A larger model, or a large collection, is better
    served by an inference server, see :class:`mmslg.captions.captioners.server.OpenAICaptioner`.

    Args:
        model: Folder of the model, or its name on the Hugging Face hub.
        batch_size: Pairs that are generated together.
        dtype: Precision of the weights, one of ``DTYPES``; ``'auto'`` takes that of the checkpoint.
        device: ``'auto'`` takes the GPU if there is one, else the CPU.
        max_pixels: Bound of each image; a larger one is scaled down.
        max_tokens: Bound of an answer.
        attempts: Questions for each pair, at most.

    Raises:
        InputError: transformers is missing, or the model is missing or no Qwen2.5-VL.
    """

    def __init__(
        self,
        model: str = MODEL,
        batch_size: int = 4,
        dtype: str = 'auto',
        device: str = 'auto',
        max_pixels: int = MAX_PIXELS,
        max_tokens: int = 256,
        attempts: int = 3,
    ) -> None:
        if dtype not in DTYPES:
            raise InputError(f'wanted a dtype of {", ".join(DTYPES)}, got {dtype!r}')
        self.batch_size = batch_size
        self._max_pixels, self._max_tokens, self._attempts = max_pixels, max_tokens, attempts
        self._model, self._processor = _load(model, dtype, _device(device))
        self._lock = threading.Lock()
        precision = str(self._model.dtype).removeprefix('torch.')
        self.version = f'{model}, {precision}, {max_pixels} pixels, prompt {PROMPT_ID}'
        self.details = dict(model=model, dtype=precision, max_pixels=max_pixels, prompt=PROMPT_ID)

    def caption(self, visible: np.ndarray, infrared: np.ndarray) -> StructuredCaption:
        """Caption one pair, see :meth:`Captioner.caption`."""
        (result,) = self.caption_batch([(visible, infrared)])
        if isinstance(result, CaptionFailure):
            raise result
        return result

    def caption_batch(
        self, pairs: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> list[StructuredCaption | CaptionFailure]:
        """Caption several pairs together, see :meth:`Captioner.caption_batch`."""
        images = [
            [cv2.cvtColor(image, cv2.COLOR_BGR2RGB) for image in prepare_images(*pair, self._max_pixels)]
            for pair in pairs
        ]

        def ask(asked: list[int], turns: list[list[Turn]]) -> list[str]:
            return self._generate([images[i] for i in asked], turns)

        return interview(ask, len(pairs), self._attempts)

    def _generate(self, images: list[list[np.ndarray]], turns: list[list[Turn]]) -> list[str]:
        import torch

        texts = [
            self._processor.apply_chat_template(_messages(each), tokenize=False, add_generation_prompt=True)
            for each in turns
        ]
        inputs = self._processor(
            text=texts,
            images=[image for pair in images for image in pair],
            padding=True,
            padding_side='left',
            return_tensors='pt',
        )
        # One thread generates while others decode and prepare the next batches.
        with self._lock, torch.inference_mode():
            try:
                inputs = inputs.to(self._model.device)
                tokens = self._model.generate(
                    **inputs,
                    max_new_tokens=self._max_tokens,
                    do_sample=False,
                    temperature=None,
                    top_p=None,
                    top_k=None,
                )
            except torch.OutOfMemoryError:
                raise InputError(
                    'the GPU is out of memory; lower --batch-size or --max-pixels and go on with --resume'
                ) from None
        answers = tokens[:, inputs['input_ids'].shape[1] :]
        return self._processor.batch_decode(
            answers, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )


def _messages(turns: list[Turn]) -> list[dict[str, Any]]:
    messages = [dict(role=role, content=[dict(type='text', text=text)]) for role, text in turns]
    messages[0]['content'] = [
        dict(type='text', text=VISIBLE_LABEL),
        dict(type='image'),
        dict(type='text', text=INFRARED_LABEL),
        dict(type='image'),
        *messages[0]['content'],
    ]
    return messages


def _device(name: str) -> str:
    import torch

    if name != 'auto':
        return name
    return 'cuda' if torch.cuda.is_available() else 'cpu'


def _load(name: str, dtype: str, device: str) -> tuple[Any, Any]:
    try:
        from transformers import AutoConfig, AutoProcessor, Qwen2_5_VLForConditionalGeneration
    except ImportError as error:
        raise InputError(
            f'the qwen captioner needs transformers ({error}); install requirements/captions.txt'
        ) from None
    try:
        found = AutoConfig.from_pretrained(name).model_type
        if found != MODEL_TYPE:
            raise InputError(f'{name}: wanted a Qwen2.5-VL (model_type {MODEL_TYPE}), got {found}')
        processor = AutoProcessor.from_pretrained(name)
        model = Qwen2_5_VLForConditionalGeneration.from_pretrained(name, dtype=dtype)
        return model.to(device).eval(), processor
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().split('\n')[0]
        raise InputError(f'{name}: the model cannot be loaded on {device}: {reason}') from None
