"""The kinds of defects that a dataset may have, and the outcome for each."""

from __future__ import annotations

from dataclasses import dataclass, field

GET_AGAIN = 'get the files again from the archive'
KINDS: dict[str, tuple[str, str]] = {
    'missing-visible': ('visible image missing', GET_AGAIN + ', or take the pairs out of the lists'),
    'missing-infrared': ('infrared image missing', GET_AGAIN + ', or take the pairs out of the lists'),
    'missing-label': ('label file missing', GET_AGAIN + '; an image without objects has a label file, too'),
    'orphan-image': ('image without partner and label', 'remove it, or get the rest of the pair'),
    'orphan-label': ('label file without images', 'get the images, or remove the label file'),
    'split-overlap': (
        'pair in two splits',
        'correct the lists or folders: test pairs must not be trained on',
    ),
    'unreadable': ('image damaged, or none', GET_AGAIN),
    'truncated': ('image truncated', GET_AGAIN),
    'blank-image': ('image of one colour', GET_AGAIN),
    'size-mismatch': ('two sizes in a pair', 'register and resize the two images of a pair to one size'),
    'wrong-size': ('size differs from the other pairs', 'replace these images by the original ones'),
    'resized': ('all images differ from the published size', 'fine if the labels were scaled along'),
    'label-size': (
        '<size> in the labels is not the image size',
        'see that labels and images belong together',
    ),
    'bad-label': ('label file cannot be read', GET_AGAIN + ', or correct the line that is named'),
    'stray-class': (
        'class that the dataset does not have',
        'correct the name; the converter drops such boxes',
    ),
    'no-box': ('object without coordinates', 'correct or remove the object; the converter drops it'),
    'box-outside': ('box outside the image', 'see that labels and images belong together, correct the box'),
    'empty-box': ('box without area', 'correct or remove the box; the converter drops it'),
    'duplicate-box': ('box given twice', 'remove one of the two'),
    'duplicate-image': ('one image under two names', GET_AGAIN + ': one copy was written over another'),
    'same-image': ('visible and infrared are the same image', GET_AGAIN + ': one was copied over the other'),
    'swapped': ('visible and infrared swapped', 'swap the two folders, or the files of the pairs named'),
    'grey-visible': ('visible image without colour', 'see that it is no infrared image; get it again'),
    'misaligned': ('infrared images shifted', 'register the pairs: shift the infrared images back'),
    'misaligned-pair': ('single pair shifted', 'see whether its two images belong together'),
    'incomplete': ('pairs of the published split missing', 'get the missing files'),
    'label-version': ('boxes are not the published number', 'say in your results which labels you used'),
    'converted': ('annotations do not fit their manifest', 'run the converter again'),
}
"""Title of each kind and what to do about it; a reader's ``own_kinds`` come on top."""

WARNINGS = {'resized', 'label-size', 'label-version'}
"""Kinds that do not keep anybody from training."""


@dataclass
class Check:
    """The outcome for one kind of defect.

    Args:
        kind: Key of KINDS or of a reader's ``own_kinds``.
        title: Name of the defect for people.
        action: What to do about it.
        items: What was found.
        known: Items that the published dataset is known to have; they do not count.
        note: A remark for the table.
    """

    kind: str
    title: str
    action: str
    items: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    note: str = ''

    @property
    def status(self) -> str:
        """``ok``, ``warn`` or ``fail``."""
        if not self.items:
            return 'ok'
        return 'warn' if self.kind in WARNINGS else 'fail'
