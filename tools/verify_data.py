"""Say whether a downloaded dataset is complete, undamaged and fit to train on.

Every pair is decoded and compared with its labels. The exit code is 0 only if it is fit to train on.

Example:
    python tools/verify_data.py llvip data/llvip --json work_dirs/llvip.json --plot work_dirs/llvip.png
"""

from __future__ import annotations

from mmslg.conversion.verification.command import verify_folder
from mmslg.utils import cli


def main() -> int:
    """Verify the folder."""
    return verify_folder(__doc__)


if __name__ == '__main__':
    cli.run(main)
