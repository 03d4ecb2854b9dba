"""Convert a downloaded folder of KAIST to COCO-form annotations of pairs.

Writes annotations_<split>.json and manifest.json into ROOT, or into --out.

Example:
    python tools/dataset_converters/kaist.py data/kaist
"""

from __future__ import annotations

from mmslg.conversion.command import convert_folder
from mmslg.utils import cli


def main() -> None:
    """Convert the folder."""
    convert_folder('kaist', __doc__)


if __name__ == '__main__':
    cli.run(main)
