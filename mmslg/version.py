"""The version of mmslg, and the versions of OpenMMLab that it works with.

Nothing heavy is imported here: installed versions are read from package metadata.
"""

from __future__ import annotations

from importlib import metadata
from typing import NamedTuple

__version__ = '0.2.0'

FIX = 'bash tools/install.sh'


class Wanted(NamedTuple):
    """One package of the stack: its import name, the distributions that provide it, its range."""

    module: str
    distributions: tuple[str, ...]
    specifier: str
    required: bool


# The original packages and OneDL's maintained builds share their import names; both are admitted.
# mmrotate is needed by oriented configs alone.
STACK = (
    Wanted('mmengine', ('onedl-mmengine', 'mmengine', 'mmengine-lite'), '>=0.10,<1', True),
    Wanted('mmcv', ('onedl-mmcv', 'mmcv', 'mmcv-lite'), '>=2.1,<3', True),
    Wanted('mmdet', ('onedl-mmdetection', 'mmdet'), '>=3.3,<4', True),
    Wanted('mmrotate', ('onedl-mmrotate', 'mmrotate'), '>=1.0.0rc1,<2', False),
)


def find_distribution(names: tuple[str, ...]) -> tuple[str, str] | None:
    """Return (name, version) of the first of ``names`` that is installed, or None."""
    for name in names:
        try:
            return name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def check_stack(require: bool = False) -> None:
    """Refuse versions of mmengine, mmcv, mmdet and mmrotate that mmslg does not work with.

    Args:
        require: Refuse a missing package too. ``import mmslg`` leaves it at False, so that parts
            which need no OpenMMLab run without it: reading annotations, captions and their stores, and
            evaluating result files. The registries, and with them captioners and text encoders, need it.

    Raises:
        ImportError: A package is outside its range or, with ``require``, missing. The message says
            what was found, what is wanted and the command that installs it.
    """
    from packaging.specifiers import SpecifierSet

    for wanted in STACK:
        found = find_distribution(wanted.distributions)
        if found is None:
            if require and wanted.required:
                raise ImportError(
                    f'mmslg needs {wanted.module} {wanted.specifier}, which is not installed: run `{FIX}`.'
                )
            continue
        name, version = found
        if not SpecifierSet(wanted.specifier).contains(version, prereleases=True):
            raise ImportError(
                f'mmslg needs {wanted.module} {wanted.specifier}, but {name} {version} is installed: '
                f'run `{FIX}` in a new environment.'
            )
