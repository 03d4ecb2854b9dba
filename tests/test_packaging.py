import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (
    'mmslg',
    'configs',
    'tools',
    'requirements',
    'setup.py',
    'pyproject.toml',
    'MANIFEST.in',
    'LICENSE',
)


def copy_tree(target: Path) -> Path:
    """Copy what the package is built from, so that a build leaves no trace in the real tree."""
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns('__pycache__', '.mim')
            shutil.copytree(source, target / name, ignore=ignore)
        else:
            shutil.copy(source, target / name)
    return target


def run(*command, cwd):
    result = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def requirement_lines(group):
    lines = (ROOT / 'requirements' / f'{group}.txt').read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    tree = copy_tree(tmp_path_factory.mktemp('tree'))
    out = tmp_path_factory.mktemp('wheel')
    run(sys.executable, '-m', 'pip', 'wheel', '--no-build-isolation', '--no-deps', '-w', out, tree, cwd=out)
    (path,) = out.glob('mmslg-*.whl')
    assert not (tree / 'mmslg' / '.mim').exists(), 'building a wheel wrote into the source tree'
    return zipfile.ZipFile(path)


def relative_files(folder, pattern):
    return {
        p.relative_to(ROOT).as_posix() for p in (ROOT / folder).rglob(pattern) if '__pycache__' not in p.parts
    }


def test_wheel_carries_configs_and_tools_for_mim(wheel):
    names = set(wheel.namelist())
    for folder, pattern in (('configs', '*.py'), ('tools', '*.py'), ('tools', '*.sh')):
        wanted = {f'mmslg/.mim/{name}' for name in relative_files(folder, pattern)}
        assert {name for name in wanted if not re.search('sample_scenes|tools/miniature', name)} <= names
    assert not [name for name in names if re.search('sample_scenes|tools/miniature', name)]
    assert 'mmslg/.mim/tools/install.sh' in names
    assert not [name for name in names if '__pycache__' in name]


def test_wheel_carries_every_module_the_trunk_the_type_marker_and_the_licence(wheel):
    names = set(wheel.namelist())
    assert {name for name in relative_files('mmslg', '*.py') if '/.mim/' not in name} <= names
    assert 'mmslg/py.typed' in names
    shipped = 'mmslg/models/backbones/miniature.safetensors'
    assert wheel.read(shipped) == (ROOT / shipped).read_bytes()
    assert any(name.endswith('/LICENSE') for name in names)
    assert not [name for name in names if name.split('/')[0] in ('tests', 'configs', 'tools')]


def test_wheel_requires_what_the_requirement_files_say(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith('METADATA')]
    metadata = wheel.read(name).decode()
    requires = [Requirement(line) for line in re.findall(r'^Requires-Dist: (.+)$', metadata, re.MULTILINE)]
    for extra, group in (
        (None, 'runtime'),
        ('mim', 'mminstall'),
        ('captions', 'captions'),
        ('lora', 'lora'),
        ('inference', 'inference'),
        ('ray', 'ray'),
        ('robustness', 'robustness'),
        ('demo', 'demo'),
        ('tests', 'tests'),
    ):
        found = {
            (r.name, r.specifier)
            for r in requires
            if (r.marker is None if extra is None else r.marker and r.marker.evaluate({'extra': extra}))
        }
        assert found == {(r.name, r.specifier) for r in map(Requirement, requirement_lines(group))}
    assert re.search(r'^Requires-Python: .*>=3\.10', metadata, re.MULTILINE)


def test_editable_build_adds_nothing_to_the_tree(tmp_path):
    tree = copy_tree(tmp_path)
    code = 'from setuptools.build_meta import build_editable; import sys; build_editable(sys.argv.pop())'
    run(sys.executable, '-c', code, tmp_path, cwd=tree)
    assert not (tree / 'mmslg' / '.mim').exists(), 'mim would find each config twice'


def test_pre_commit_uses_the_pinned_linters():
    text = (ROOT / '.pre-commit-config.yaml').read_text()
    pins = dict(re.findall(r'\[(\w+)==([\d.]+)\]', text))
    assert set(pins) == {'ruff', 'codespell'}
    assert {f'{name}=={version}' for name, version in pins.items()} <= set(requirement_lines('tests'))


@pytest.mark.parametrize(
    ('module', 'line', 'contract'),
    [
        ('models/layers/sobel.py', 'import mmcv', 'imports nothing of OpenMMLab'),
        ('evaluation/functional/__init__.py', 'import mmslg.evaluation.metrics', 'One way: nobody imports'),
        ('models/layers/sobel.py', 'import mmslg.models.necks', 'Models are built on layers'),
        ('datasets/__init__.py', 'import mmslg.models', 'One way: nobody imports'),
        ('annotations.py', 'import mmslg.captions.schema', 'One way: nobody imports'),
        ('annotations.py', 'import torch', 'needs neither torch nor OpenMMLab'),
        ('conversion/layout.py', 'import mmslg.conversion.build', 'No cycles'),
    ],
)
def test_an_import_against_the_direction_is_reported(tmp_path, module, line, contract):
    tree = copy_tree(tmp_path)
    with (tree / 'mmslg' / module).open('a') as file:
        file.write(f'\n{line}\n')
    command = [str(Path(sys.executable).parent / 'lint-imports'), '--no-cache']
    result = subprocess.run(
        command,
        cwd=tree,
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(tree), 'COLUMNS': '200'},
    )
    assert result.returncode == 1
    broken = [text for text in result.stdout.splitlines() if text.endswith('BROKEN')]
    assert any(contract in text for text in broken), result.stdout


def test_scripts_are_bash_that_parses():
    scripts = [*(ROOT / 'tools').rglob('*.sh'), ROOT / '.ci' / 'run']
    for script in scripts:
        run('bash', '-n', script, cwd=ROOT)
    assert os.access(ROOT / '.ci' / 'run', os.X_OK)


def test_the_citation_names_licence_and_article():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert (citation['cff-version'], citation['license']) == ('1.2.0', 'Apache-2.0')
    (article,) = citation['references']
    assert article['identifiers'] == [{'type': 'other', 'value': 'arXiv:2601.02249'}]
    assert article['authors'][0] == {'family-names': 'Xiang', 'given-names': 'X.'}
