"""What a model may be told instead of the structured caption, to find out what the caption does.

==============  =========================================================  ==========================
variant         what the four parts of a pair hold                         store, ``encode.py --variant``
==============  =========================================================  ==========================
``structured``  environment, scene, objects and thermal signature          ``structured``, the default
``free_form``   the same words as one sentence, in every part              ``free_form``
``class_names`` the list of the classes, in every part of every pair       ``class_names``
``shuffled``    the structured caption of another pair                     ``structured``
``constant``    the structured caption of one pair, the same for all       ``structured``
``none``        zeros: no text at all                                      ``structured``
==============  =========================================================  ==========================

A variant is one word of a config: ``dataset=dict(caption_variant='shuffled')``.
All have the same shape, so the model and its number of parameters stay the same.

``shuffled`` tells whether captions help by what they say or by what any text would do: the captions and how
often each occurs stay, only which pair they belong to is lost. With ``constant`` and with ``none``
Language-Guided Modulation is left with one learned scale and shift per channel, the same for all pairs: what
remains of it without language. ``constant`` learns them through all layers, since it says something; ``none``
through biases alone. The pair whose caption all get is the first of the stores by name.

A model without Language-Guided Modulation, which the article's ablation starts from, is another thing: a
config whose neck has no ``lgm`` and whose datasets have no ``caption_store``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mmslg.captions.schema import MAX_LENGTH, StructuredCaption
from mmslg.errors import InputError

STORE_VARIANTS = ('structured', 'free_form', 'class_names')
"""Variants that need texts of their own to be encoded."""

VARIANTS: Mapping[str, str] = {
    **{name: name for name in STORE_VARIANTS},
    'shuffled': 'structured',
    'constant': 'structured',
    'none': 'structured',
}
"""Every variant, and that of the store it is made from."""


def rewrite(
    captions: Mapping[str, StructuredCaption], variant: str, classes: Sequence[str] = ()
) -> dict[str, StructuredCaption]:
    """Bring captions into the form of a variant that is encoded into a store of its own.

    Args:
        captions: Structured captions by image key.
        variant: One of ``STORE_VARIANTS``.
        classes: Names of the classes, for ``'class_names'``.

    Raises:
        InputError: There is no such variant, or classes are missing or given in vain.
    """
    if variant not in STORE_VARIANTS:
        raise InputError(f'variant must be one of {", ".join(STORE_VARIANTS)}, got {variant!r}')
    if bool(classes) != (variant == 'class_names'):
        raise InputError(
            'the variant class_names needs the names of the classes: --classes person car ...'
            if variant == 'class_names'
            else f'--classes belongs to the variant class_names, not to {variant}'
        )
    if variant == 'structured':
        return dict(captions)
    if variant == 'class_names':
        everywhere = _in_every_part(', '.join(classes))
        return dict.fromkeys(captions, everywhere)
    return {key: _in_every_part(sentence(caption)) for key, caption in captions.items()}


def sentence(caption: StructuredCaption) -> str:
    """Return a caption as one sentence; what exceeds ``MAX_LENGTH`` characters is cut at a word.

    Example:
        >>> sentence(StructuredCaption('dimly lit night', 'highway', 'few cars', 'high thermal contrast'))
        'The pair of images shows highway with few cars in dimly lit night and high thermal contrast.'
    """
    environment, scene, objects, thermal = (part.strip(' .') or part for part in caption.components())
    text = f'The pair of images shows {scene} with {objects} in {environment} and {thermal}.'
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH + 1].rsplit(' ', 1)[0][:MAX_LENGTH]


def shuffled_partners(keys: Iterable[str], seed: int = 0) -> dict[str, str]:
    """Give every image another image, and every image to one other.

    The images, sorted, are put in a random circle; each gets its neighbour. So nobody gets itself, whatever
    the seed, and the result does not depend on the order of the keys or on the process.

    Raises:
        InputError: There are fewer than two images.
    """
    ordered = sorted(set(keys))
    if len(ordered) < 2:
        raise InputError(f'shuffled captions need at least two captioned pairs, got {len(ordered)}')
    circle = np.random.default_rng(seed).permutation(len(ordered)).tolist()
    return {ordered[a]: ordered[b] for a, b in zip(circle, circle[1:] + circle[:1])}


def _in_every_part(text: str) -> StructuredCaption:
    return StructuredCaption(text, text, text, text)
