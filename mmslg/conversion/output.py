"""Writing annotations and their manifest: all files or none, the same bytes for the same input."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import ExitStack
from pathlib import Path

from mmslg.annotations import read_splits
from mmslg.conversion.base import DatasetReader
from mmslg.conversion.build import FORMAT, Split
from mmslg.conversion.layout import Layout
from mmslg.errors import InputError
from mmslg.utils.io import atomic_path, check_writable, refuse_overwriting

MANIFEST = 'manifest.json'


def annotation_file(split: str) -> str:
    """Return the name of a split's annotations."""
    return f'annotations_{split}.json'


def is_ready(root: Path) -> bool:
    """Whether a folder can be trained on as it is, with the usual names of annotations."""
    try:
        read_splits(root, annotation_file('train'), annotation_file('test'))
    except InputError:
        return False
    return True


def write_outputs(
    reader: DatasetReader, layout: Layout, splits: dict[str, Split], out: Path
) -> dict[str, str]:
    """Write the annotations of every split and the manifest.

    Files that would not change are not touched. All others are written beside their places first, so a
    failure leaves the former files. Annotations that lie elsewhere than the images say where those are.

    Returns:
        What happened to each file: ``written`` or ``unchanged``.

    Raises:
        InputError: A file cannot be written, or would replace one of the label files that were read.
    """
    root = os.path.relpath(os.path.realpath(layout.root), os.path.realpath(out))
    where = {} if root == '.' else dict(data_root=Path(root).as_posix())
    texts = {
        annotation_file(name): _dump(dict(split.data, info={**split.data['info'], **where}))
        for name, split in splits.items()
    }
    manifest = make_manifest(reader, layout, splits, texts)
    texts[MANIFEST] = json.dumps(manifest, indent=1, sort_keys=True) + '\n'
    for name in texts:
        if any(os.path.realpath(out / name) == os.path.realpath(layout.root / path) for path in layout.lists):
            way = 'converted annotations go elsewhere by --out DIR'
            if is_ready(layout.root):
                way = f'tools/new_config.py {layout.root} takes the folder as it is, and {way}'
            raise InputError(f'{out / name}: the output is the input; {way}')
    refuse_inputs(layout, *(out / name for name in texts))
    changed = [name for name, text in texts.items() if not _holds(out / name, text.encode())]
    with ExitStack() as stack:
        # The last one entered is the first one renamed: a manifest never tells of files that are not there.
        for name in reversed(changed):
            stack.enter_context(atomic_path(out / name)).write_bytes(texts[name].encode())
    return {name: 'written' if name in changed else 'unchanged' for name in texts}


def refuse_inputs(layout: Layout, *outputs: Path) -> None:
    """See that outputs can be written, and replace no file that a layout tells of.

    Raises:
        InputError: One cannot, or would.
    """
    pairs = [p for pairs in layout.splits.values() for p in pairs]
    named = {p for q in pairs for p in (q.visible, q.infrared, q.label) if p} | set(layout.lists)
    for out in map(check_writable, outputs):
        for path in (p for p in named if p.endswith(out.suffix)):
            refuse_overwriting(out, layout.root / path)


def make_manifest(
    reader: DatasetReader, layout: Layout, splits: dict[str, Split], texts: dict[str, str]
) -> dict:
    """Return what is to be known of a conversion: source, counts, policies, hashes."""
    return dict(
        format=FORMAT,
        dataset=reader.name,
        classes=list(reader.classes),
        source=dict(layout.source, labels_only=layout.labels_only, version=source_version(reader, splits)),
        label_modality={name: layout.modality_of(name) for name in splits},
        data_prefix=dict(img=layout.prefixes[0], ir=layout.prefixes[1]),
        policies=reader.policies(),
        splits={name: _summary(reader, name, split) for name, split in splits.items()},
        problems={kind: dict(count=len(v), items=v[:100]) for kind, v in layout.problems.items()},
        inputs=inputs_digest(layout),
        outputs={name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()},
    )


def source_version(reader: DatasetReader, splits: dict[str, Split]) -> str:
    """Return which published version of the labels the counts speak for."""
    return reader.label_version({name: split.boxes for name, split in splits.items()})


def inputs_digest(layout: Layout) -> dict:
    """Return the number of input files and a hash over their names, image sizes and label contents."""
    pairs = [p for pairs in layout.splits.values() for p in pairs]
    images = sorted(
        {path for p in pairs for path in (p.visible, p.infrared) if path} if not layout.labels_only else ()
    )
    labels = sorted({p.label for p in pairs if p.label} | set(layout.lists))
    digest = hashlib.sha256()
    for path in images:
        digest.update(f'{path}\t{(layout.root / path).lstat().st_size}\n'.encode())
    for path in labels:
        content = hashlib.sha256((layout.root / path).read_bytes()).hexdigest()
        digest.update(f'{path}\t{content}\n'.encode())
    return dict(images=len(images), label_files=len(labels), sha256=digest.hexdigest())


def _summary(reader: DatasetReader, name: str, split: Split) -> dict:
    return dict(
        pairs=len(split.data['images']),
        published_pairs=reader.pairs.get(name),
        boxes=dict(split.boxes),
        times=dict(split.times),
        aliases_merged=dict(split.aliases),
        remarks=dict(split.remarks),
        left_out={
            reason: dict(count=len(keys), pairs=keys) for reason, keys in sorted(split.left_out.items())
        },
    )


def _dump(data: dict) -> str:
    """Return JSON with one image or annotation a line."""
    parts = []
    for key, value in data.items():
        if isinstance(value, list) and value:
            lines = ',\n'.join(json.dumps(v, allow_nan=False) for v in value)
            parts.append(f'{json.dumps(key)}: [\n{lines}\n]')
        else:
            parts.append(f'{json.dumps(key)}: {json.dumps(value, allow_nan=False)}')
    return '{' + ',\n'.join(parts) + '}\n'


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and not path.is_symlink() and path.read_bytes() == data
