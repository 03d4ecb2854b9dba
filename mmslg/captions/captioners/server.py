"""Captions by any server that speaks OpenAI's chat completions: vLLM, SGLang, Ollama, transformers serve."""

from __future__ import annotations

import base64
import json
import os
import threading
from typing import Any

import cv2
import numpy as np

from mmslg.captions.captioners.base import Captioner, CaptionFailure
from mmslg.captions.captioners.prompt import (
    INFRARED_LABEL,
    MAX_PIXELS,
    MAX_QUOTE,
    PROMPT_ID,
    VISIBLE_LABEL,
    Turn,
    UnusableAnswer,
    interview,
    prepare_images,
)
from mmslg.captions.schema import StructuredCaption, one_line
from mmslg.errors import InputError
from mmslg.registry import CAPTIONERS

BASE_URL = 'http://localhost:8000/v1'
KEY_VARIABLE = 'OPENAI_API_KEY'
JPEG_QUALITY = 95
REFUSALS = (401, 403, 404)
"""Status codes that mean that no request of this run can succeed."""

GIVE_UP_AFTER = 20
"""Requests in a row, each with all its retries, that may fail before the run ends."""


@CAPTIONERS.register_module(name='openai')
class OpenAICaptioner(Captioner):
    """Asks a model behind an OpenAI-compatible endpoint about both images.

    The openai package retries what may pass: time-outs, broken connections and the status codes 408,
    409, 429 and 5xx, with exponential back-off, jitter and ``Retry-After``.

    Args:
        model: Name of the model at the server.
        base_url: Address of the interface, up to ``/v1``.
        api_key_env: Environment variable with the key; a server that wants none needs none.
        timeout: Seconds that the server may be silent.
        retries: Further tries of a request that failed.
        max_pixels: Bound of each image; a larger one is scaled down.
        max_tokens: Bound of an answer.
        attempts: Questions for each pair, at most.

    Raises:
        InputError: openai is missing, the address is none, or a variable named for the key is not set.
    """

    workers = 8

    def __init__(
        self,
        model: str,
        base_url: str = BASE_URL,
        api_key_env: str = KEY_VARIABLE,
        timeout: float = 120.0,
        retries: int = 5,
        max_pixels: int = MAX_PIXELS,
        max_tokens: int = 256,
        attempts: int = 3,
    ) -> None:
        self._model, self._base_url = model, base_url
        self._max_pixels, self._max_tokens, self._attempts = max_pixels, max_tokens, attempts
        self._client = _connect(base_url, api_key_env, timeout, retries)
        self._failed_in_a_row = 0
        self._lock = threading.Lock()
        self.version = f'{model}, {max_pixels} pixels, prompt {PROMPT_ID}'
        self.details = dict(model=model, max_pixels=max_pixels, prompt=PROMPT_ID)

    def caption(self, visible: np.ndarray, infrared: np.ndarray) -> StructuredCaption:
        """Caption one pair, see :meth:`Captioner.caption`."""
        images = [_data_url(image) for image in prepare_images(visible, infrared, self._max_pixels)]

        def ask(asked: list[int], turns: list[list[Turn]]) -> list[str | CaptionFailure]:
            try:
                return [self._request(_messages(images, turns[0]))]
            except CaptionFailure as failure:
                return [failure]

        (result,) = interview(ask, 1, self._attempts)
        if isinstance(result, CaptionFailure):
            raise result
        return result

    def _request(self, messages: list[dict[str, Any]]) -> str:
        import openai

        try:
            response = self._client.chat.completions.with_raw_response.create(
                model=self._model, messages=messages, temperature=0, max_tokens=self._max_tokens
            )
        except openai.APIStatusError as error:
            reason = f'the server answered {error.status_code}: {one_line(error.response.text, 200)}'
            if error.status_code in REFUSALS:
                raise InputError(
                    f'{self._base_url}: {reason}; check --base-url, --model and the key'
                ) from None
            if error.status_code >= 500:
                self._count_failure(reason)
            raise CaptionFailure(reason) from None
        except openai.APIConnectionError as error:
            # A time-out is one of these.
            reason = f'{one_line(error.message, 200)} ({one_line(str(error.__cause__ or "no detail"), 200)})'
            self._count_failure(reason)
            raise CaptionFailure(reason) from None
        with self._lock:
            self._failed_in_a_row = 0
        return _content(response.http_response.text)

    def _count_failure(self, reason: str) -> None:
        with self._lock:
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= GIVE_UP_AFTER:
                raise InputError(
                    f'{self._base_url}: {GIVE_UP_AFTER} requests in a row failed, the last one because '
                    f'{reason}; go on with --resume when the server is well'
                )


def _connect(base_url: str, api_key_env: str, timeout: float, retries: int) -> Any:
    try:
        import openai
    except ImportError as error:
        raise InputError(
            f'the openai captioner needs the openai package ({error}); install requirements/captions.txt'
        ) from None
    if not base_url.startswith(('http://', 'https://')):
        raise InputError(f'wanted a base URL such as {BASE_URL}, got {base_url!r}')
    key = os.environ.get(api_key_env)
    if key is None and api_key_env != KEY_VARIABLE:
        raise InputError(f'the environment variable {api_key_env} is not set; it should hold the key')
    return openai.OpenAI(base_url=base_url, api_key=key or 'none', timeout=timeout, max_retries=retries)


def _messages(images: list[str], turns: list[Turn]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [dict(role=role, content=text) for role, text in turns]
    parts: list[dict[str, Any]] = []
    for label, url in zip((VISIBLE_LABEL, INFRARED_LABEL), images, strict=True):
        parts += [dict(type='text', text=label), dict(type='image_url', image_url=dict(url=url))]
    messages[0]['content'] = [*parts, dict(type='text', text=messages[0]['content'])]
    return messages


def _data_url(image: np.ndarray) -> str:
    _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return 'data:image/jpeg;base64,' + base64.b64encode(data.tobytes()).decode('ascii')


def _content(body: str) -> str:
    # Read here rather than by openai, which believes what a server says.
    try:
        content = json.loads(body)['choices'][0]['message']['content']
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        content = None
    if not isinstance(content, str):
        raise UnusableAnswer("the server's reply is no chat completion with a text", body[:MAX_QUOTE])
    return content
