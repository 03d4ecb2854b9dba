"""What a vision-language model is asked about a pair, and what of its answer is accepted."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from mmslg.captions.captioners.base import CaptionFailure
from mmslg.captions.schema import COMPONENTS, VOCABULARY, StructuredCaption, one_line
from mmslg.errors import InputError
from mmslg.utils.image_io import to_8bit

PROMPT_VERSION = '1'
NEUTRAL = 'unspecified objects'
"""The photometric captioner's word for objects it does not look for; a model that looks must not use it."""

MAX_QUOTE = 1000
"""Characters of an unusable answer that are kept in the dialogue and in the list of failures."""

MAX_PIXELS = 1024 * 28 * 28
"""Default bound of one image; 28 x 28 pixels make one token of Qwen2.5-VL."""

VISIBLE_LABEL = 'Image 1, visible light:'
INFRARED_LABEL = 'Image 2, thermal infrared:'

_QUESTIONS = {
    'environment': 'light and weather, from both images; say whether it is day or night',
    'scene': 'the type of place',
    'objects': 'which people, vehicles and other objects are there, in either image, and how many',
    'thermal': (
        'how clearly warm objects stand out from the background in image 2; thermal crossover means that '
        'they have the temperature of the background and vanish'
    ),
}

_MARKUP = re.compile(r'[<>{}`\\]|&#?\w+;|://|\b(?:javascript|data|vbscript):', re.IGNORECASE)
_FENCED = re.compile(r'```(?:json)?\s*(.*?)\s*```', re.DOTALL | re.IGNORECASE)

Turn = tuple[str, str]
"""Role, ``'user'`` or ``'assistant'``, and text."""


class UnusableAnswer(CaptionFailure):
    """An answer that is no caption; asking again may help."""


def _build_prompt() -> str:
    lines = [
        'You describe pairs of images for object detection. Image 1 was taken in visible light, image 2 in '
        'thermal infrared; both show the same scene at the same moment. Look at both.',
        'Answer with one JSON object and nothing else. It has exactly these four keys, and each value is one '
        'short English phrase of at most 12 words:',
    ]
    for name in COMPONENTS:
        phrases = '; '.join(phrase for phrase in VOCABULARY[name] if phrase != NEUTRAL)
        lines.append(f'"{name}": {_QUESTIONS[name]}. Preferred phrases: {phrases}.')
    lines.append(
        'Where no preferred phrase fits, write one of the same kind. Say only what the images show. No '
        'markup, no line breaks, no further keys.'
    )
    return '\n'.join(lines)


PROMPT = _build_prompt()
PROMPT_ID = f'{PROMPT_VERSION}-{hashlib.sha256(PROMPT.encode()).hexdigest()[:12]}'
"""Version and hash of the text; kept in every record."""


def complaint(reason: str) -> str:
    """Return the turn that follows an unusable answer."""
    return (
        f'This answer cannot be used: {reason}. Answer again with one JSON object with exactly the keys '
        f'{", ".join(COMPONENTS)}, each one short phrase, and nothing else.'
    )


def parse_answer(text: str) -> StructuredCaption:
    """Read a caption from an answer: a JSON object, perhaps in a Markdown fence, and nothing else.

    Raises:
        UnusableAnswer: It is anything else; the message is one line that can be shown to the model.
    """
    body = text.strip()
    fenced = _FENCED.fullmatch(body)
    try:
        data = json.loads(fenced[1] if fenced else body, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise UnusableAnswer(f'it is not one JSON object ({_shown(str(error))})', text[:MAX_QUOTE]) from None
    try:
        return StructuredCaption(**_checked(data))
    except InputError as error:
        raise UnusableAnswer(_shown(str(error)), text[:MAX_QUOTE]) from None


def interview(
    ask: Callable[[list[int], list[list[Turn]]], Sequence[str | CaptionFailure]], count: int, attempts: int
) -> list[StructuredCaption | CaptionFailure]:
    """Ask about several pairs, and again, with the complaint, about those whose answer cannot be used.

    Args:
        ask: Gets which pairs are asked about and what was said about each so far, beginning with the
            prompt; returns an answer for each. ``UnusableAnswer`` in place of an answer is asked again
            without a complaint, any other ``CaptionFailure`` is final.
        count: Number of pairs.
        attempts: Questions for each pair, at most.

    Returns:
        One caption or failure for each pair.
    """
    turns: list[list[Turn]] = [[('user', PROMPT)] for _ in range(count)]
    results: list[Any] = [None] * count
    for _ in range(attempts):
        asked = [
            i for i, result in enumerate(results) if result is None or isinstance(result, UnusableAnswer)
        ]
        if not asked:
            break
        answers = ask(asked, [turns[i] for i in asked])
        for i, answer in zip(asked, answers, strict=True):
            results[i] = answer if isinstance(answer, CaptionFailure) else _hear(answer, turns[i])
    return results


def _hear(answer: str, turns: list[Turn]) -> StructuredCaption | UnusableAnswer:
    try:
        return parse_answer(answer)
    except UnusableAnswer as failure:
        said = _defused(failure.answer).strip() or '(nothing)'
        turns += [('assistant', said), ('user', complaint(str(failure)))]
        return failure


def prepare_images(
    visible: np.ndarray, infrared: np.ndarray, max_pixels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return both images in BGR, 8 bits, and no larger than asked.

    Args:
        visible: BGR image ``(H, W, 3)``, uint8.
        infrared: Image ``(H', W')``, uint8 or uint16.
        max_pixels: Largest number of pixels of either; a larger image is scaled down.
    """
    heat = cv2.cvtColor(to_8bit(infrared), cv2.COLOR_GRAY2BGR)
    return _bounded(visible, max_pixels), _bounded(heat, max_pixels)


def _bounded(image: np.ndarray, max_pixels: int) -> np.ndarray:
    height, width = image.shape[:2]
    scale = (max_pixels / (height * width)) ** 0.5
    if scale >= 1:
        return image
    size = max(1, int(width * scale)), max(1, int(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _checked(data: Any) -> dict[str, str]:
    if not isinstance(data, dict):
        raise InputError(f'it is not a JSON object but {type(data).__name__}')
    if set(data) != set(COMPONENTS):
        raise InputError(f'the keys are {_shown(", ".join(data)) or "none"}')
    for name, text in data.items():
        if not isinstance(text, str):
            raise InputError(f'the value of {name!r} is not text')
        text = data[name] = text.strip()
        # Also refuses lone surrogates and invisible direction marks.
        if not text.isprintable():
            raise InputError(f'the value of {name!r} holds control characters or line breaks')
        if _MARKUP.search(text):
            raise InputError(f'the value of {name!r} holds markup or a link')
        if not any(letter.isalpha() for letter in text):
            raise InputError(f'the value of {name!r} has no words')
    if data['objects'].casefold() == NEUTRAL:
        raise InputError("the value of 'objects' says nothing; name the objects or say that none are visible")
    return data


def _without_repeats(items: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(items)
    if len(data) < len(items):
        raise ValueError('a key comes twice')
    return data


def _shown(text: str) -> str:
    return _defused(one_line(text, 200))


def _defused(text: str) -> str:
    # Written out, the special tokens of a chat template would count as such when they are read back.
    return text.replace('<|', '< |')
