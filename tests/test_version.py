import re
import subprocess
import sys
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import mmslg
from mmslg import version
from mmslg.version import STACK, check_stack


@pytest.fixture
def installed(monkeypatch):
    """Return a dict that stands for all that is installed."""
    versions = {'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6', 'onedl-mmdetection': '3.5.1'}

    def fake_version(name):
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(version.metadata, 'version', fake_version)
    return versions


def test_version_is_exported():
    assert mmslg.__version__ == version.__version__
    assert re.fullmatch(r'\d+\.\d+\.\d+', mmslg.__version__)


def test_the_environment_of_the_tests_is_accepted():
    check_stack(require=True)


@pytest.mark.parametrize('require', [False, True])
def test_onedl_builds_are_accepted_without_mmrotate(installed, require):
    check_stack(require)


@pytest.mark.parametrize(
    'stack',
    [
        {'mmengine': '0.10.4', 'mmcv': '2.1.0', 'mmdet': '3.3.0', 'mmrotate': '1.0.0rc1'},
        {'mmengine': '0.10.7', 'mmcv': '2.2.0', 'mmdet': '3.3.0'},
        {'mmengine-lite': '0.10.7', 'mmcv-lite': '2.1.0', 'mmdet': '3.3.0', 'onedl-mmrotate': '1.2.1'},
    ],
)
def test_original_packages_are_accepted(installed, stack):
    installed.clear()
    installed.update(stack)
    check_stack(require=True)


def test_prereleases_and_local_versions_count(installed):
    installed.update({'onedl-mmcv': '2.3.6+cu128', 'onedl-mmdetection': '3.6.0rc1'})
    check_stack(require=True)


@pytest.mark.parametrize(
    ('name', 'found', 'wanted'),
    [
        ('onedl-mmcv', '2.0.1', 'mmcv >=2.1,<3'),
        ('onedl-mmengine', '0.9.1', 'mmengine >=0.10,<1'),
        ('onedl-mmdetection', '4.0.0', 'mmdet >=3.3,<4'),
        ('onedl-mmrotate', '0.3.4', 'mmrotate >=1.0.0rc1,<2'),
        ('mmrotate', '1.0.0rc0', 'mmrotate >=1.0.0rc1,<2'),
    ],
)
def test_a_wrong_version_is_refused_with_the_fix(installed, name, found, wanted):
    installed[name] = found
    message = f'mmslg needs {wanted}, but {name} {found} is installed: run `bash tools/install.sh`'
    with pytest.raises(ImportError, match=re.escape(message)):
        check_stack()


def test_a_missing_package_is_refused_only_when_required(installed):
    del installed['onedl-mmcv']
    check_stack()
    message = 'mmslg needs mmcv >=2.1,<3, which is not installed: run `bash tools/install.sh`.'
    with pytest.raises(ImportError, match=re.escape(message)):
        check_stack(require=True)


def test_import_mmslg_is_light():
    code = (
        'import time, sys; start = time.process_time(); import mmslg; took = time.process_time() - start\n'
        'heavy = {"torch", "numpy", "cv2", "mmcv", "mmengine", "mmdet", "mmrotate"} & set(sys.modules)\n'
        'print(took, sorted(heavy))'
    )
    runs = [subprocess.run([sys.executable, '-c', code], capture_output=True, text=True) for _ in range(3)]
    assert [run.stderr for run in runs] == [''] * 3
    took, heavy = zip(*(run.stdout.split(maxsplit=1) for run in runs))
    assert {text.strip() for text in heavy} == {'[]'}
    assert min(map(float, took)) < 0.4  # about 0.07 on an idle machine


def test_what_is_installed_lies_within_what_is_accepted(request):
    lines = (request.config.rootpath / 'requirements' / 'mminstall.txt').read_text().splitlines()
    install = {r.name: r.specifier for r in map(Requirement, (x for x in lines if x and x[0] != '#'))}
    for wanted in STACK:
        bounds = install[wanted.distributions[0]]
        assert all(s.version in SpecifierSet(wanted.specifier) for s in bounds if s.operator != '!=')


@pytest.mark.parametrize(
    'module',
    [
        'mmslg.annotations',
        'mmslg.captions.generation',
        'mmslg.captions.report',
        'mmslg.captions.store',
        'mmslg.evaluation.functional',
    ],
)
def test_what_is_promised_without_openmmlab_runs_without_it(module):
    absent = 'mmengine', 'mmcv', 'mmdet', 'mmrotate'
    code = f'import sys; sys.modules.update(dict.fromkeys({absent})); import {module}'
    made = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr


def test_torch_is_no_older_than_what_is_used(request):
    """Reading checkpoints needs torch.serialization.safe_globals; files are data by default from 2.6."""
    text = (request.config.rootpath / 'requirements' / 'mminstall.txt').read_text()
    bounds = {r.name: r.specifier for r in map(Requirement, re.findall(r'^torch.*', text, re.MULTILINE))}
    assert '2.6.0' in bounds['torch'] and '2.5.1' not in bounds['torch']
    assert '0.21.0' in bounds['torchvision'] and '0.20.1' not in bounds['torchvision']
    assert metadata.version('torch').partition('+')[0] in bounds['torch']
