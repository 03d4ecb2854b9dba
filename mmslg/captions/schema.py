"""The structured caption: four components, their vocabulary and the file that keeps them.

``captions.jsonl`` holds one JSON object a line::

    {"file_name": "00001.jpg", "environment": "dimly lit night", "scene": "open scene",
     "objects": "unspecified objects", "thermal": "high thermal contrast",
     "captioner": "photometric", "version": "1"}

Further fields (a prompt, a model) are kept as they are. An image is known by the ``file_name`` it
has in its annotation file, with ``/`` between folders.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from mmslg.errors import InputError
from mmslg.utils.io import atomic_path

T = TypeVar('T')

COMPONENTS = ('environment', 'scene', 'objects', 'thermal')
"""Component names in the order of Eq. 10 of arXiv:2601.02249: env, type, obj, therm."""

MAX_LENGTH = 400
"""Longest component in characters; a CLIP text tower reads 77 tokens, about 300 characters."""

VOCABULARY: Mapping[str, tuple[str, ...]] = {
    'environment': (
        'clear daylight',
        'dim daylight',
        'overexposed daylight',
        'daylight with strong glare',
        'foggy daylight',
        'rainy daylight',
        'dawn or dusk',
        'artificially lit night',
        'dimly lit night',
        'very dark night',
        'night with strong glare',
        'foggy night',
        'rainy night',
    ),
    'scene': (
        'open scene',
        'moderately structured scene',
        'densely structured scene',
        'urban street',
        'intersection',
        'highway',
        'parking lot',
        'residential area',
        'campus',
        'aerial view of a road',
    ),
    'objects': (
        'unspecified objects',
        'no visible objects',
        'few pedestrians',
        'crowded pedestrians',
        'sparse vehicles',
        'dense vehicles',
        'mixed pedestrians and vehicles',
        'small distant objects',
    ),
    'thermal': (
        'high thermal contrast',
        'moderate thermal contrast',
        'low thermal contrast',
        'thermal crossover',
    ),
}
"""Controlled phrases of each component. A captioner may say more, but should prefer these."""

_CONTROL = re.compile(r'[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]')
_NIGHT = re.compile(r'\b(?:night|nighttime|midnight)\b')
_DAY = re.compile(r'\b(?:day|daylight|daytime|noon|midday|sunlight|sunny)\b')


@dataclass(frozen=True)
class StructuredCaption:
    """What four phrases say about one visible and infrared pair.

    Args:
        environment: Light and weather.
        scene: Type of place.
        objects: What is there and how much of it.
        thermal: Thermal signature of the scene.

    Raises:
        InputError: A component is no text, blank, longer than ``MAX_LENGTH`` or not a single line.
    """

    environment: str
    scene: str
    objects: str
    thermal: str

    def __post_init__(self) -> None:
        for name, text in zip(COMPONENTS, self.components(), strict=True):
            _check_component(name, text)

    def components(self) -> tuple[str, str, str, str]:
        """Return the four texts in the order of ``COMPONENTS``."""
        return self.environment, self.scene, self.objects, self.thermal

    def to_dict(self) -> dict[str, str]:
        """Return the components by name."""
        return dict(zip(COMPONENTS, self.components(), strict=True))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StructuredCaption:
        """Make a caption from its components by name; other fields are not looked at.

        Raises:
            InputError: A component is missing or invalid.
        """
        missing = [name for name in COMPONENTS if name not in data]
        if missing:
            raise InputError(f'a caption needs {", ".join(COMPONENTS)}; missing: {", ".join(missing)}')
        return cls(**{name: data[name] for name in COMPONENTS})


@dataclass(frozen=True)
class CaptionRecord:
    """A caption, the image it belongs to and who wrote it.

    Args:
        file_name: Key of the image, see :func:`image_key`.
        caption: The four components.
        captioner: Registered name of the captioner.
        version: Version of its rules or model.
        extra: Further fields of the record, kept when it is written again.
    """

    file_name: str
    caption: StructuredCaption
    captioner: str
    version: str
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as ``captions.jsonl`` holds it."""
        known = {'file_name': self.file_name, **self.caption.to_dict()}
        return {**known, 'captioner': self.captioner, 'version': self.version, **self.extra}

    @classmethod
    def from_dict(cls, data: Any) -> CaptionRecord:
        """Make a record from one parsed line.

        Raises:
            InputError: A field is missing or invalid.
        """
        if not isinstance(data, dict):
            raise InputError(f'wanted an object with file_name and a caption, got {type(data).__name__}')
        for name in ('file_name', 'captioner', 'version'):
            if not isinstance(data.get(name), str):
                raise InputError(f'wanted text in the field {name!r}, got {data.get(name)!r}')
        known = {*COMPONENTS, 'file_name', 'captioner', 'version'}
        return cls(
            file_name=image_key(data['file_name']),
            caption=StructuredCaption.from_dict(data),
            captioner=data['captioner'],
            version=data['version'],
            extra={name: value for name, value in data.items() if name not in known},
        )


def image_key(file_name: str) -> str:
    """Return the key of an image: its ``file_name`` with ``/`` between folders.

    Raises:
        InputError: The name is blank or holds control characters.
    """
    if not isinstance(file_name, str) or not file_name.strip() or _CONTROL.search(file_name):
        raise InputError(f'wanted a file name of one line, got {file_name!r}')
    return str(PurePosixPath(file_name.replace('\\', '/')))


def one_line(text: str, width: int = 60) -> str:
    """Return a text as one printable line of at most ``width`` characters, for tables and messages."""
    line = ' '.join(''.join(c if c.isprintable() else ' ' for c in text).split())
    return line if len(line) <= width else f'{line[: width - 3]}...'


def time_of_day(caption: StructuredCaption) -> str | None:
    """Return ``'day'`` or ``'night'`` as the environment says, None if it says neither or both."""
    text = caption.environment.lower()
    day, night = bool(_DAY.search(text)), bool(_NIGHT.search(text))
    if day == night:
        return None
    return 'day' if day else 'night'


def read_captions(path: str | os.PathLike) -> dict[str, CaptionRecord]:
    """Read ``captions.jsonl``.

    Returns:
        Records by image key, in the order of the file. Blank lines are skipped.

    Raises:
        InputError: The file is missing or empty, a line is broken, or an image comes twice; the
            message names file and line.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{path}: no such file; write captions.jsonl with tools/captions/generate.py')
    records: dict[str, CaptionRecord] = {}
    lines: dict[str, int] = {}
    for number, record in parse_lines(path, path.read_bytes(), CaptionRecord.from_dict):
        first = lines.setdefault(record.file_name, number)
        if first < number:
            raise InputError(f'{path}, line {number}: {record.file_name} was in line {first} already')
        records[record.file_name] = record
    if not records:
        raise InputError(f'{path}: holds no captions')
    return records


def parse_lines(path: Path, content: bytes, parse: Callable[[Any], T]) -> Iterator[tuple[int, T]]:
    """Parse the lines of a JSONL file that are not blank.

    Args:
        path: The file, for messages.
        content: What it holds.
        parse: Makes an entry of what a line holds.

    Yields:
        Number of the line, from 1, and entry.

    Raises:
        InputError: A line is no JSON, or not what ``parse`` takes; the message names file and line.
    """
    for number, line in enumerate(content.split(b'\n'), start=1):
        if line.strip():
            try:
                yield number, parse(_parse_json(line))
            except InputError as error:
                raise InputError(f'{path}, line {number}: {error}; mend the line or remove it') from None


def _parse_json(line: bytes) -> Any:
    try:
        return json.loads(line.decode('utf-8'))
    except UnicodeDecodeError as error:
        raise InputError(f'not UTF-8 text ({error.reason})') from None
    except (ValueError, RecursionError) as error:  # also a number of more digits than Python reads
        raise InputError(f'not valid JSON ({error})') from None


def format_record(record: CaptionRecord) -> str:
    """Return one line of ``captions.jsonl``, line break included."""
    return json.dumps(record.to_dict(), ensure_ascii=False) + '\n'


def write_captions(path: str | os.PathLike, records: Iterable[CaptionRecord]) -> None:
    """Write ``captions.jsonl``, whole or not at all.

    Raises:
        InputError: An image comes twice.
    """
    seen: set[str] = set()
    with atomic_path(path) as temporary, temporary.open('w', encoding='utf-8', newline='\n') as file:
        for record in records:
            if record.file_name in seen:
                raise InputError(f'{path}: {record.file_name} has two captions')
            seen.add(record.file_name)
            file.write(format_record(record))


def _check_component(name: str, text: Any) -> None:
    if not isinstance(text, str):
        raise InputError(f'caption component {name!r}: wanted text, got {type(text).__name__}')
    if not text.strip():
        raise InputError(f'caption component {name!r} is blank')
    if _CONTROL.search(text):
        raise InputError(f'caption component {name!r}: wanted a single line, got {text[:60]!r}')
    if len(text) > MAX_LENGTH:
        raise InputError(f'caption component {name!r}: {len(text)} characters, at most {MAX_LENGTH} fit')
