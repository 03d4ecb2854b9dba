"""Convert a downloaded dataset to COCO-form annotations of pairs.

Writes annotations_<split>.json and manifest.json into ROOT, or into --out. The options of a dataset:
`python tools/convert.py DATASET --help`.

Example:
    python tools/convert.py flir data/flir_aligned
"""

from __future__ import annotations

from mmslg.conversion.command import convert_folder
from mmslg.utils import cli


def main() -> None:
    """Convert the folder."""
    convert_folder(__doc__)


if __name__ == '__main__':
    cli.run(main)
