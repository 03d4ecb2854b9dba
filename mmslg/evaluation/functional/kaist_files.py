"""Whatever file or folder of KAIST ground truth a user has."""

from __future__ import annotations

import os

from mmslg.evaluation.functional.kaist_bbgt import read_bbgt_folder
from mmslg.evaluation.functional.kaist_ground_truth import GroundTruth
from mmslg.evaluation.functional.kaist_json import parse_annotations
from mmslg.utils.io import read_json


def read_ground_truth(path: str | os.PathLike) -> GroundTruth:
    """Read ground truth from the annotation JSON or from a folder of text files.

    Raises:
        InputError: It is neither; the message says what is wrong with it.
    """
    if os.path.isdir(path):
        return read_bbgt_folder(path)
    return parse_annotations(read_json(path), str(path))
