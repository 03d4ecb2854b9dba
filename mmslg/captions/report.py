"""What the captions of a data set say, in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from mmslg.annotations import TIMES
from mmslg.captions.journal import FailedPair
from mmslg.captions.schema import COMPONENTS, VOCABULARY, CaptionRecord, one_line, time_of_day

UNCLEAR = 'neither'
"""An environment that says neither day nor night, or both."""
SHOWN = 12
"""Phrases of a component that are listed one by one."""


def summarise(
    records: Mapping[str, CaptionRecord],
    images: Mapping[str, str | None] | None = None,
    failures: Iterable[FailedPair] = (),
) -> dict[str, Any]:
    """Count what captions say.

    Args:
        records: Captions by image key.
        images: ``time`` of every annotated image by key, None if it has none; None for no annotations.
        failures: Pairs that got no caption, as :func:`mmslg.captions.journal.read_failures` gives them.

    Returns:
        Plain data for a JSON file: ``captions``; ``captioners``; ``components``, by name the ``phrases`` with
        their counts, most frequent first, and how many are ``outside_vocabulary``; ``duplicates``, with the
        number of ``distinct`` captions and the ``most_frequent`` ones; ``failures``; and with annotations
        ``annotated``, see :func:`compare`.
    """
    whole = Counter(record.caption for record in records.values())
    summary: dict[str, Any] = {
        'captions': len(records),
        'captioners': dict(Counter(f'{r.captioner} {r.version}' for r in records.values()).most_common()),
        'components': {name: _component(name, records) for name in COMPONENTS},
        'duplicates': {
            'distinct': len(whole),
            'most_frequent': [
                {'caption': caption.to_dict(), 'pairs': count} for caption, count in whole.most_common(3)
            ],
        },
        'failures': [{'file_name': each.file_name, 'reason': each.failure} for each in failures],
    }
    if images is not None:
        summary['annotated'] = compare(records, images)
    return summary


def _component(name: str, records: Mapping[str, CaptionRecord]) -> dict[str, Any]:
    counts = Counter(getattr(record.caption, name) for record in records.values())
    foreign = sum(count for phrase, count in counts.items() if phrase not in VOCABULARY[name])
    return {'phrases': dict(counts.most_common()), 'outside_vocabulary': foreign}


def compare(records: Mapping[str, CaptionRecord], images: Mapping[str, str | None]) -> dict[str, Any]:
    """Compare captions with annotations.

    Returns:
        ``images``; ``without_caption`` and ``without_annotation``, image keys; ``confusion``, by annotated
        time the number of captions that say day, night or neither; ``agreement``, the share of the images
        with a time whose caption says the same, None if there is none; ``disagreeing``, their keys.
    """
    confusion = {time: dict.fromkeys((*TIMES, UNCLEAR), 0) for time in TIMES}
    disagreeing = []
    for key, time in images.items():
        if time is None or key not in records:
            continue
        said = time_of_day(records[key].caption) or UNCLEAR
        confusion[time][said] += 1
        if said != time:
            disagreeing.append(key)
    total = sum(sum(row.values()) for row in confusion.values())
    return {
        'images': len(images),
        'without_caption': [key for key in images if key not in records],
        'without_annotation': [key for key in records if key not in images],
        'confusion': confusion,
        'agreement': 1 - len(disagreeing) / total if total else None,
        'disagreeing': disagreeing,
    }


def format_summary(summary: Mapping[str, Any]) -> str:
    """Return a summary as a table to print."""
    total = summary['captions']
    duplicates = summary['duplicates']
    lines = [
        f'{total} captions by {", ".join(summary["captioners"])}; {duplicates["distinct"]} of them distinct, '
        f'the most frequent one {duplicates["most_frequent"][0]["pairs"]} times'
    ]
    for name, component in summary['components'].items():
        phrases = component['phrases']
        foreign = component['outside_vocabulary']
        lines += ['', f'{name}: {len(phrases)} distinct, {foreign} outside the vocabulary']
        lines += [_row(count, total, phrase) for phrase, count in top(phrases)]
    if 'annotated' in summary:
        lines += ['', *_annotated(summary['annotated'])]
    failures = summary['failures']
    if failures:
        lines += ['', f'{len(failures)} pairs failed; the reasons:']
        reasons = Counter(failure['reason'] for failure in failures)
        lines += [_row(count, len(failures), reason) for reason, count in top(reasons)]
    else:
        lines += ['', 'no failures recorded']
    return '\n'.join(lines)


def _annotated(annotated: Mapping[str, Any]) -> list[str]:
    lines = [f'{annotated["images"]} annotated pairs']
    for name, what in (('without_caption', 'without a caption'), ('without_annotation', 'only captioned')):
        if annotated[name]:
            lines[0] += f', {len(annotated[name])} {what} (such as {annotated[name][0]})'
    if annotated['agreement'] is None:
        return [f'{lines[0]}; none has a time, so day and night cannot be compared']
    confusion = annotated['confusion']
    total = sum(sum(row.values()) for row in confusion.values())
    right = sum(confusion[time][time] for time in TIMES)
    columns = (*TIMES, UNCLEAR)
    lines += [
        f'day or night: {right} of {total} captions agree with the annotations, {100 * right / total:.1f} %',
        '  annotated  ' + ''.join(f'{f"says {column}":>14}' for column in columns),
    ]
    lines += [f'  {time:<11}' + ''.join(f'{row[c]:>14}' for c in columns) for time, row in confusion.items()]
    if annotated['disagreeing']:
        some = annotated['disagreeing'][:SHOWN]
        more = len(annotated['disagreeing']) - len(some)
        lines.append(f'  disagree: {", ".join(some)}{f" and {more} more" if more else ""}')
    return lines


def top(counts: Mapping[str, int], shown: int = SHOWN) -> list[tuple[str, int]]:
    """Return the most frequent entries, shortened, and the sum of the others."""
    ordered = Counter(counts).most_common()
    rows = [(one_line(text), count) for text, count in ordered[:shown]]
    others = sum(count for _, count in ordered[shown:])
    return [*rows, (f'({len(ordered) - shown} others)', others)] if others else rows


def _row(count: int, total: int, text: str) -> str:
    return f'  {count:7d}  {100 * count / total:5.1f} %  {text}'
