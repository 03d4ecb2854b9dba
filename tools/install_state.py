"""Tell ``tools/install.sh`` what is installed; imports nothing heavy unless asked to try the ops.

It runs before anything is installed, so it needs only Python and pip.

    install_state.py state [--tests]         one line for each step: STEP<TAB>ok|missing<TAB>detail
    install_state.py requirements STEP [--tests]   the requirement strings of a step, one a line
    install_state.py repair                  drop metadata that an interrupted pip left incomplete
    install_state.py ops                     import cv2, torch and mmcv and run two ops
    install_state.py stamp                   remember that ``ops`` passed for what is installed now
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

try:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name
except ImportError:
    from pip._vendor.packaging.requirements import Requirement
    from pip._vendor.packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
GROUPS = ('mminstall', 'runtime', 'captions')
TORCH = ('torch', 'torchvision')
MMCV = 'onedl-mmcv'
BUILD = ('setuptools>=77,<81', 'wheel', 'ninja')
# Distributions that would overwrite the files of OneDL's builds.
ORIGINALS = ('mmengine', 'mmengine-lite', 'mmcv', 'mmcv-lite', 'mmcv-full', 'mmdet', 'mmrotate')
# What the ops depend on: the stamp holds as long as none of these changed.
STAMPED = (*TORCH, MMCV, 'numpy', 'opencv-python', 'opencv-python-headless')

# Exit codes of `ops`, by the part that failed.
TORCH_FAILED, CV2_FAILED, MMCV_FAILED = 2, 3, 4


def stamp_file() -> Path:
    """Return the file that remembers a passed ``ops`` check of this environment."""
    return Path(sys.prefix) / 'mmslg-ops.json'


def read_requirements(groups: tuple[str, ...], root: Path = ROOT) -> list[Requirement]:
    """Return the requirements of requirements/<group>.txt for each of ``groups``."""
    lines = []
    for group in groups:
        lines += (root / 'requirements' / f'{group}.txt').read_text(encoding='utf-8').splitlines()
    return [Requirement(line) for line in map(str.strip, lines) if line and not line.startswith('#')]


def step_requirements(step: str, tests: bool) -> list[Requirement]:
    """Return what a step of the installation has to provide."""
    stack = read_requirements(GROUPS + (('tests',) if tests else ()))
    if step == 'build':
        return [Requirement(line) for line in BUILD]
    if step == 'torch':
        return [r for r in stack if r.name in TORCH]
    if step == 'mmcv':
        return [r for r in stack if r.name == MMCV]
    return [r for r in stack if r.name != MMCV]


def is_complete(dist: metadata.Distribution) -> bool:
    """Tell whether pip finished installing ``dist``: the list of its files is written last."""
    return bool(dist.version) and (dist.read_text('RECORD') or dist.read_text('SOURCES.txt')) is not None


def installed() -> dict[str, metadata.Distribution]:
    """Return every completely installed distribution by its canonical name."""
    found: dict[str, metadata.Distribution] = {}
    for dist in metadata.distributions():
        name = dist.metadata['Name']
        if name and is_complete(dist):
            found.setdefault(canonicalize_name(name), dist)
    return found


def find_problems(
    wanted: list[Requirement],
    have: dict[str, metadata.Distribution],
    skip: tuple[str, ...] = (),
    seen: set[tuple[str, str]] | None = None,
) -> Iterator[str]:
    """Yield what of ``wanted``, and of all that it needs in turn, is missing or out of range.

    Args:
        wanted: Requirements; those whose marker does not hold here are passed over.
        have: Installed distributions by canonical name.
        skip: Names that another step looks after.
        seen: Pairs (name, extra) already looked at.
    """
    seen = set() if seen is None else seen
    for requirement in wanted:
        name = canonicalize_name(requirement.name)
        if name in skip or (requirement.marker and not requirement.marker.evaluate({'extra': ''})):
            continue
        dist = have.get(name)
        if dist is None:
            yield f'{requirement.name} is not installed'
            continue
        if not requirement.specifier.contains(dist.version, prereleases=True):
            yield f'{requirement.name} {dist.version} is not {requirement.specifier}'
        for extra in ('', *requirement.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                needs = [Requirement(line) for line in dist.requires or ()]
                held = [r for r in needs if r.marker is None or r.marker.evaluate({'extra': extra})]
                for need in held:
                    need.marker = None
                yield from find_problems(held, have, skip, seen)


def make_stamp(have: dict[str, metadata.Distribution]) -> dict[str, list]:
    """Return version and time of installation of everything the ops depend on."""
    stamp = {}
    for name in STAMPED:
        if name in have:
            record = Path(have[name]._path) / 'RECORD'
            stamp[name] = [have[name].version, record.stat().st_mtime_ns if record.is_file() else 0]
    return stamp


def read_stamp() -> dict[str, list] | None:
    """Return the remembered stamp, or None."""
    try:
        return json.loads(stamp_file().read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None


def editable_problem(have: dict[str, metadata.Distribution]) -> str | None:
    """Return why mmslg itself has to be installed, or None if this tree is, in editable mode."""
    dist = have.get('mmslg')
    if dist is None:
        return 'not installed'
    origin = json.loads(dist.read_text('direct_url.json') or '{}')
    if not origin.get('dir_info', {}).get('editable') or origin['url'] != ROOT.as_uri():
        return 'installed from another place'
    text = (ROOT / 'mmslg' / 'version.py').read_text(encoding='utf-8')
    version = re.search(r"^__version__ = '([^']+)'", text, re.MULTILINE)[1]
    return None if dist.version == version else f'{dist.version} is installed, the tree is {version}'


def print_state(tests: bool) -> int:
    """Print a line for each step of the installation."""
    have = installed()
    steps = {
        'clash': [f'{name} {have[name].version}' for name in ORIGINALS if name in have],
        'broken': list(find_incomplete()),
        'build': list(find_problems(step_requirements('build', tests), have)),
        'torch': list(find_problems(step_requirements('torch', tests), have)),
        'packages': list(find_problems(step_requirements('packages', tests), have, skip=(*TORCH, MMCV))),
        'mmcv': list(find_problems(step_requirements('mmcv', tests), have)),
        'ops': [] if read_stamp() == make_stamp(have) else ['not tried yet'],
        'mmslg': [problem] if (problem := editable_problem(have)) else [],
    }
    for step, problems in steps.items():
        print(step, 'missing' if problems else 'ok', '; '.join(dict.fromkeys(problems)), sep='\t')
    return 0


def find_incomplete() -> dict[str, Path]:
    """Return the metadata folders of this environment that an interrupted pip left incomplete."""
    folders = {}
    for dist in metadata.distributions():
        folder = getattr(dist, '_path', None)
        inside = folder is not None and Path(sys.prefix) in Path(folder).parents
        if inside and folder.name.endswith('.dist-info') and not is_complete(dist):
            folders[folder.name] = Path(folder)
    return folders


def repair() -> int:
    """Remove incomplete metadata, so that pip installs those packages afresh."""
    for name, folder in find_incomplete().items():
        shutil.rmtree(folder)
        print(f'removed {name}')
    return 0


def try_torch() -> None:
    """Import torch and torchvision and run one op of each."""
    import torch
    import torchvision

    torchvision.ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([1.0]), 0.5)


def try_mmcv() -> None:
    """Run a compiled op and the deformable attention, on CUDA too where it is present."""
    import mmcv._ext  # noqa: F401
    import torch
    from mmcv.ops import MultiScaleDeformableAttention, nms_rotated

    for device in ['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu']:
        boxes = torch.tensor([[5.0, 5.0, 4.0, 2.0, 0.1], [5.0, 5.0, 4.0, 2.0, 0.1]], device=device)
        _, keep = nms_rotated(boxes, torch.tensor([0.9, 0.8], device=device), 0.5)
        if keep.tolist() != [0]:
            raise RuntimeError(f'nms_rotated kept {keep.tolist()} of two equal boxes on {device}')
        attention = MultiScaleDeformableAttention(
            embed_dims=8, num_heads=2, num_levels=1, num_points=1, batch_first=True
        ).to(device)
        attention(
            torch.zeros(1, 4, 8, device=device),
            reference_points=torch.full((1, 4, 1, 2), 0.5, device=device),
            spatial_shapes=torch.tensor([[2, 2]], device=device),
            level_start_index=torch.tensor([0], device=device),
        )


def try_cv2() -> None:
    """Import OpenCV: the build with windows needs libGL, which a bare machine lacks."""
    import cv2  # noqa: F401


def try_ops() -> int:
    """Run the checks that need an import; on failure print one line and return which one it was."""
    checks: list[tuple[Callable[[], None], int]] = [
        (try_torch, TORCH_FAILED),
        (try_cv2, CV2_FAILED),
        (try_mmcv, MMCV_FAILED),
    ]
    for check, code in checks:
        try:
            check()
        except Exception as error:
            print(f'{type(error).__name__}: {" ".join(str(error).split())[:300]}')
            return code
    return 0


def write_stamp() -> int:
    """Remember what is installed now; an environment that cannot be written is tried each time."""
    try:
        stamp_file().write_text(json.dumps(make_stamp(installed())), encoding='utf-8')
    except OSError as error:
        print(f'not remembered: {error}', file=sys.stderr)
    return 0


def main() -> int:
    """Run one of the commands in the module's docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('command', choices=['state', 'requirements', 'repair', 'ops', 'stamp'])
    parser.add_argument('step', nargs='?', choices=['build', 'torch', 'packages', 'mmcv'])
    parser.add_argument('--tests', action='store_true', help='include requirements/tests.txt')
    args = parser.parse_args()
    if args.command == 'state':
        return print_state(args.tests)
    if args.command == 'requirements':
        if args.step is None:
            parser.error('requirements needs a step')
        print(*step_requirements(args.step, args.tests), sep='\n')
        return 0
    return {'repair': repair, 'ops': try_ops, 'stamp': write_stamp}[args.command]()


if __name__ == '__main__':
    sys.exit(main())
