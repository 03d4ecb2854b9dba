"""Convert a downloaded folder of DroneVehicle to COCO-form annotations of pairs.

Writes annotations_<split>.json and manifest.json into ROOT, or into --out.

Example:
    python tools/dataset_converters/dronevehicle.py data/dronevehicle
"""

from __future__ import annotations

from mmslg.conversion.command import convert_folder
from mmslg.utils import cli


def main() -> None:
    """Convert the folder."""
    convert_folder('dronevehicle', __doc__)


if __name__ == '__main__':
    cli.run(main)
