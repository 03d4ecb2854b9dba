"""Writing annotations and their manifest: whole files, the same bytes for the same input."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from mmslg.conversion.base import DatasetReader
from mmslg.conversion.build import FORMAT, Split
from mmslg.conversion.layout import Layout
from mmslg.conversion.published import BOXES, LLVIP_TEST_BOXES, PAIRS
from mmslg.utils.io import atomic_path

MANIFEST = 'manifest.json'


def annotation_file(split: str) -> str:
    """Return the name of a split's annotations."""
    return f'annotations_{split}.json'


def write_outputs(
    reader: DatasetReader, layout: Layout, splits: dict[str, Split], out: Path
) -> dict[str, str]:
    """Write the annotations of every split and the manifest.

    Files that would not change are not touched. The manifest comes last, so hashes that do not fit tell of
    an interruption.

    Returns:
        What happened to each file: ``written`` or ``unchanged``.
    """
    texts = {annotation_file(name): _dump(split.data) for name, split in splits.items()}
    manifest = make_manifest(reader, layout, splits, texts)
    texts[MANIFEST] = json.dumps(manifest, indent=1, sort_keys=True) + '\n'
    return {name: _write(out / name, text) for name, text in texts.items()}


def make_manifest(
    reader: DatasetReader, layout: Layout, splits: dict[str, Split], texts: dict[str, str]
) -> dict:
    """Return what is to be known of a conversion: source, counts, policies, hashes."""
    policies = dict(
        unusable_pairs='left out and listed', other_classes='dropped', boxes_without_area='dropped'
    )
    policies['boxes_across_the_edge'] = reader.options.edge if reader.name == 'dronevehicle' else 'keep'
    return dict(
        format=FORMAT,
        dataset=reader.name,
        classes=list(reader.classes),
        source=dict(
            layout.source, labels_only=layout.labels_only, version=source_version(reader.name, splits)
        ),
        label_modality={name: layout.modality_of(name) for name in splits},
        data_prefix=dict(img=layout.prefixes[0], ir=layout.prefixes[1]),
        policies=policies,
        splits={name: _summary(reader.name, name, split) for name, split in splits.items()},
        problems={kind: dict(count=len(v), items=v[:100]) for kind, v in layout.problems.items()},
        inputs=inputs_digest(layout),
        outputs={name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()},
    )


def source_version(dataset: str, splits: dict[str, Split]) -> str:
    """Return which published version of the labels the counts speak for."""
    test = splits.get('test')
    if test is None:
        return 'unknown: no test split'
    total = sum(test.boxes.values())
    if dataset == 'llvip':
        return LLVIP_TEST_BOXES.get(total, f'unknown: {total} test boxes, published are 8302 or 7931')
    if dataset in BOXES:
        same = dict(test.boxes) == BOXES[dataset]['test']
        return 'published test labels' if same else f'unknown: {total} test boxes, not the published counts'
    return 'not told apart by counts'


def inputs_digest(layout: Layout) -> dict:
    """Return the number of input files and a hash over their names, image sizes and label contents."""
    pairs = [p for pairs in layout.splits.values() for p in pairs]
    images = sorted(
        {path for p in pairs for path in (p.visible, p.infrared) if path} if not layout.labels_only else ()
    )
    labels = sorted({p.label for p in pairs if p.label} | set(layout.lists))
    digest = hashlib.sha256()
    for path in images:
        digest.update(f'{path}\t{(layout.root / path).stat().st_size}\n'.encode())
    for path in labels:
        content = hashlib.sha256((layout.root / path).read_bytes()).hexdigest()
        digest.update(f'{path}\t{content}\n'.encode())
    return dict(images=len(images), label_files=len(labels), sha256=digest.hexdigest())


def _summary(dataset: str, name: str, split: Split) -> dict:
    count = len(split.data['images'])
    return dict(
        pairs=count,
        published_pairs=PAIRS[dataset].get(name),
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


def _write(path: Path, text: str) -> str:
    data = text.encode()
    if path.is_file() and not path.is_symlink() and path.read_bytes() == data:
        return 'unchanged'
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return 'written'
