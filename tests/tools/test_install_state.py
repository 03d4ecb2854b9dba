import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / 'tools' / 'install_state.py'


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('install_state', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Dist:
    def __init__(self, version, *requires):
        self.version = version
        self.requires = list(requires)


def problems(tool, wanted, have, **kwargs):
    return list(tool.find_problems([Requirement(line) for line in wanted], have, **kwargs))


def test_the_environment_of_the_tests_is_complete_and_read_fast():
    start = time.perf_counter()
    text = subprocess.run(
        [sys.executable, SCRIPT, 'state'], capture_output=True, text=True, check=True
    ).stdout
    assert time.perf_counter() - start < 5
    states = dict(line.split('\t', 1) for line in text.splitlines())
    assert set(states) == {'clash', 'broken', 'build', 'torch', 'packages', 'mmcv', 'ops', 'mmslg'}
    assert {step: states[step] for step in ('torch', 'packages', 'mmcv')} == dict.fromkeys(
        ('torch', 'packages', 'mmcv'), 'ok\t'
    )


def test_missing_and_out_of_range(tool):
    have = {'a': Dist('1.5'), 'b': Dist('3.0')}
    assert problems(tool, ['a>=1,<2'], have) == []
    assert problems(tool, ['b<3', 'c'], have) == ['b 3.0 is not <3', 'c is not installed']


def test_local_version_of_a_cpu_wheel_is_in_range(tool):
    assert problems(tool, ['torch>=2.4,<=2.8.0'], {'torch': Dist('2.8.0+cpu')}) == []


def test_what_a_package_needs_in_turn_is_checked(tool):
    have = {'a': Dist('1', 'b>=2', 'gone'), 'b': Dist('1', 'a')}
    assert problems(tool, ['a'], have) == ['b 1 is not >=2', 'gone is not installed']


def test_names_are_canonical_and_skipped_ones_are_left(tool):
    assert (
        problems(tool, ['open_clip_torch'], {'open-clip-torch': Dist('3.3', 'torch')}, skip=('torch',)) == []
    )


def test_markers_and_extras(tool):
    have = {'a': Dist('1', 'win; sys_platform == "win32"', 'more; extra == "x"')}
    assert problems(tool, ['a', 'old; python_version < "3"'], have) == []
    assert problems(tool, ['a[x]'], have) == ['more is not installed']


@pytest.mark.parametrize(
    ('step', 'names', 'not_names'),
    [
        ('torch', {'torch', 'torchvision'}, {'timm'}),
        ('mmcv', {'onedl-mmcv'}, {'torch'}),
        ('packages', {'torch', 'timm', 'onedl-mmdetection', 'transformers'}, {'onedl-mmcv', 'ruff'}),
    ],
)
def test_steps_share_the_requirement_files(tool, step, names, not_names):
    found = {r.name for r in tool.step_requirements(step, tests=False)}
    assert names <= found and not found & not_names


def test_tests_group_is_added_on_demand(tool):
    assert 'ruff' in {r.name for r in tool.step_requirements('packages', tests=True)}


def test_metadata_without_its_list_of_files_is_incomplete_and_removed(tool, tmp_path, monkeypatch):
    site = tmp_path / 'lib'
    for name, complete in (('whole-1.0', True), ('half-2.0', False)):
        folder = site / f'{name}.dist-info'
        folder.mkdir(parents=True)
        (folder / 'METADATA').write_text('Name: {}\nVersion: {}\n'.format(*name.split('-')))
        if complete:
            (folder / 'RECORD').write_text('x,,\n')
    monkeypatch.setattr(sys, 'path', [str(site)])
    monkeypatch.setattr(sys, 'prefix', str(tmp_path))
    assert set(tool.installed()) == {'whole'}
    assert set(tool.find_incomplete()) == {'half-2.0.dist-info'}
    assert tool.repair() == 0
    assert [path.name for path in site.iterdir()] == ['whole-1.0.dist-info']


def test_stamp_holds_until_something_is_installed_anew(tool, tmp_path, monkeypatch):
    folder = tmp_path / 'torch-2.8.0.dist-info'
    folder.mkdir()
    (folder / 'METADATA').write_text('Name: torch\nVersion: 2.8.0\n')
    record = folder / 'RECORD'
    record.write_text('torch-2.8.0.dist-info/METADATA,,\ntorch-2.8.0.dist-info/RECORD,,\n')
    monkeypatch.setattr(sys, 'path', [str(tmp_path)])
    monkeypatch.setattr(sys, 'prefix', str(tmp_path))
    assert tool.read_stamp() is None
    tool.write_stamp()
    assert tool.read_stamp() == tool.make_stamp(tool.installed())
    record.touch()
    assert tool.read_stamp() != tool.make_stamp(tool.installed())


def test_usage_error_for_requirements_without_a_step():
    result = subprocess.run([sys.executable, SCRIPT, 'requirements'], capture_output=True, text=True)
    assert result.returncode == 2 and 'needs a step' in result.stderr
