"""Evaluation as plain functions; nothing of OpenMMLab is imported."""

from mmslg.evaluation.functional.coco_ap import (
    CocoFigures,
    evaluate_by_condition,
    evaluate_coco,
    format_coco,
    load_truth,
    notes_on_truth,
    read_results,
)
from mmslg.evaluation.functional.kaist import (
    GroundTruth,
    frame_name,
    frame_time,
    parse_annotations,
    read_bbgt,
    read_ground_truth,
)
from mmslg.evaluation.functional.kaist_results import (
    Detections,
    make_detections,
    read_detections,
    round_rows,
    write_detections,
)
from mmslg.evaluation.functional.miss_rate import (
    PROTOCOLS,
    SETTINGS,
    SPLITS,
    Curve,
    check_names,
    compute_miss_rates,
)
from mmslg.evaluation.functional.oriented_ap import (
    ClassMatches,
    OrientedFigures,
    average_precision,
    evaluate_class,
    format_oriented,
    mean_over_present,
)
from mmslg.evaluation.functional.protocol import Protocol, images_by_condition, name_methods
from mmslg.evaluation.functional.reports import (
    describe_ground_truth,
    find_notes,
    format_table,
    miss_rates_of,
)

__all__ = [
    'PROTOCOLS',
    'SETTINGS',
    'SPLITS',
    'ClassMatches',
    'CocoFigures',
    'Curve',
    'Detections',
    'GroundTruth',
    'OrientedFigures',
    'Protocol',
    'average_precision',
    'check_names',
    'compute_miss_rates',
    'describe_ground_truth',
    'evaluate_by_condition',
    'evaluate_class',
    'evaluate_coco',
    'find_notes',
    'format_coco',
    'format_oriented',
    'format_table',
    'frame_name',
    'frame_time',
    'images_by_condition',
    'load_truth',
    'make_detections',
    'mean_over_present',
    'miss_rates_of',
    'name_methods',
    'notes_on_truth',
    'parse_annotations',
    'read_bbgt',
    'read_detections',
    'read_ground_truth',
    'read_results',
    'round_rows',
    'write_detections',
]
