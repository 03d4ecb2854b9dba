"""tools/install.sh against a stand-in interpreter: what it says, what it asks pip for, in which order."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STEPS = ('clash', 'broken', 'build', 'torch', 'packages', 'mmcv', 'ops', 'mmslg')
COMMANDS = (
    'awk bash cat cp cut date df dirname env flock grep head mkdir mktemp nproc rm sed sleep tail tr wc'
)

# Answers like the interpreter of an environment; $FAKE holds what it is to answer.
PYTHON = r"""#!/usr/bin/env bash
case "$*" in
    *"install_state.py state"*)
        cat "$FAKE/state"
        cp "$FAKE/state_after" "$FAKE/state" ;;
    *"install_state.py requirements mmcv"*) echo onedl-mmcv==2.3.6 ;;
    *"install_state.py requirements"*) echo "some-$3>=1" ;;
    *"install_state.py ops"*)
        code=$(head -n 1 "$FAKE/ops")
        sed -i 1d "$FAKE/ops"
        [ -z "$code" ] || echo "ImportError: it does not load"
        exit "${code:-0}" ;;
    *install_state.py*) echo "$2" >>"$FAKE/calls" ;;
    *"-m pip --version"*) ;;
    *"-m pip install"*|*"-m mim install"*)
        echo "${@:2}" >>"$FAKE/calls"
        if [ -f "$FAKE/pip_fails_on" ] && [[ "$*" == *"$(cat "$FAKE/pip_fails_on")"* ]]; then
            cat "$FAKE/pip_output"
            exit 1
        fi ;;
    *version_info*) cat "$FAKE/version" ;;
    *get_path*) echo "$FAKE/include" ;;
    *opencv-python*) echo 4.12.0.88 ;;
    *is_available*) exit "$(cat "$FAKE/no_cuda")" ;;
    *) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


class Fake:
    """A tree with the scripts, a stand-in environment and a PATH that holds nothing else."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / 'tree'
        self.answers = folder / 'answers'
        self.bin = folder / 'bin'
        for path in (self.root / 'tools', self.answers / 'include', self.bin):
            path.mkdir(parents=True)
        for name in ('install.sh', 'install_state.py'):
            shutil.copy(ROOT / 'tools' / name, self.root / 'tools' / name)
        for name in COMMANDS.split():
            (self.bin / name).symlink_to(shutil.which(name))
        (self.answers / 'include' / 'Python.h').touch()
        for name, text in {'version': '3.11.7', 'ops': '', 'no_cuda': '1', 'calls': ''}.items():
            self.answer(name, text)
        self.state()
        self.command('c++', 'exit 0')
        self.python = self.root / '.venv' / 'bin' / 'python'
        self.write(self.python, PYTHON)

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def answer(self, name: str, text: str) -> None:
        (self.answers / name).write_text(text and text + '\n')

    def command(self, name: str, script: str) -> None:
        self.write(self.bin / name, f'#!/usr/bin/env bash\n{script}\n')

    def state(self, before: str = '', after: str = '') -> None:
        for name, missing in (('state', before.split()), ('state_after', after.split())):
            lines = [f'{s}\tmissing\t{s} is old' if s in missing else f'{s}\tok\t' for s in STEPS]
            self.answer(name, '\n'.join(lines))

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ['bash', self.root / 'tools' / 'install.sh', *args],
            env={'PATH': str(self.bin), 'FAKE': str(self.answers), **env},
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def calls(self) -> list[str]:
        return (self.answers / 'calls').read_text().splitlines()

    def fails(self, *args: str, **env: str) -> str:
        """Run it, expect exit code 1 and one line of error, and return that line."""
        result = self.run(*args, **env)
        assert result.returncode == 1, result.stdout + result.stderr
        assert result.stderr.count('\n') == 1, result.stderr
        assert result.stderr.startswith('error: ')
        return result.stderr.removeprefix('error: ').strip()


@pytest.fixture
def fake(tmp_path):
    return Fake(tmp_path)


FRESH = 'build torch packages mmcv ops mmslg'


def test_takes_no_time_when_all_is_there(fake):
    start = time.perf_counter()
    result = fake.run()
    assert time.perf_counter() - start < 5
    assert result.returncode == 0
    assert 'all is there' in result.stdout
    assert fake.calls == []


def test_installs_in_the_order_that_mmcv_needs(fake):
    fake.state(FRESH)
    result = fake.run()
    assert result.returncode == 0, result.stderr
    pip = [call for call in fake.calls if call.startswith('pip')]
    last = [call.split()[-1] for call in pip]
    assert last == ['some-build>=1', 'some-torch>=1', 'some-packages>=1', 'onedl-mmcv==2.3.6', str(fake.root)]
    assert ['--no-build-isolation' in call for call in pip] == [False, False, False, True, True]
    assert '-e' in pip[-1].split() and '--no-deps' in pip[-1].split()
    assert 'stamp' in fake.calls
    for number in range(1, 6):
        assert f'[{number}/5]' in result.stdout
    assert 'installed in' in result.stdout


def test_does_only_what_is_missing(fake):
    fake.state('packages')
    result = fake.run()
    assert result.returncode == 0, result.stderr
    assert [call for call in fake.calls if call.startswith('pip')] == [
        'pip install --no-input --progress-bar off some-packages>=1'
    ]
    assert '[2/5] torch: there' in result.stdout


def test_repairs_what_an_interrupted_installation_left(fake):
    fake.state('broken torch')
    assert fake.run().returncode == 0
    assert fake.calls[0] == 'repair'


def test_torch_index_serves_torch_alone(fake):
    fake.state(FRESH)
    assert fake.run(TORCH_INDEX_URL='file:///wheels').returncode == 0
    with_index = [call for call in fake.calls if '--index-url file:///wheels' in call]
    assert len(with_index) == 1 and with_index[0].endswith('some-torch>=1')


def test_no_compiler(fake):
    fake.state(FRESH)
    (fake.bin / 'c++').unlink()
    assert fake.fails().startswith("no C++ compiler; mmcv's ops are compiled here (install g++")
    assert fake.calls == []


def test_compiler_is_not_wanted_when_mmcv_is_there(fake):
    fake.state('packages')
    (fake.bin / 'c++').unlink()
    assert fake.run().returncode == 0


def test_no_python_headers(fake):
    fake.state(FRESH)
    (fake.answers / 'include' / 'Python.h').unlink()
    assert 'no Python headers' in fake.fails()


@pytest.mark.parametrize(
    ('missing', 'free', 'needed'), [(FRESH, 11, 12), ('mmcv', 2, 3), (FRESH, 12, None), ('mmcv', 3, None)]
)
def test_disk_is_checked_before_anything_big(fake, missing, free, needed):
    fake.state(missing)
    fake.command('df', f'echo header; echo dev 0 0 {free * 1048576 + 1000} 1% /')
    if needed is None:
        assert fake.run().returncode == 0
    else:
        assert f'{free} GiB of disk are free' in (line := fake.fails())
        assert line.endswith(f'{needed} GiB are needed')
        assert fake.calls == []


def test_full_disk_is_no_matter_when_all_is_there(fake):
    fake.command('df', 'echo header; echo dev 0 0 0 100% /')
    assert fake.run().returncode == 0


def test_wrong_python_in_the_active_environment(fake, tmp_path):
    fake.answer('version', '3.9.2')
    fake.write(tmp_path / 'active' / 'bin' / 'python', PYTHON)
    line = fake.fails(VIRTUAL_ENV=str(tmp_path / 'active'))
    assert 'has Python 3.9.2; 3.10, 3.11 or 3.12 is needed' in line


def test_wrong_python_everywhere(fake):
    fake.python.unlink()
    fake.command('python3', 'echo 3.8.10')
    fake.command('python3.11', 'exit 127')
    assert fake.fails().startswith('python3 is Python 3.8.10 and no other was found; 3.10, 3.11 or 3.12')


def test_wrong_python_by_choice(fake):
    fake.python.unlink()
    fake.command('python3.13', 'echo 3.13.1')
    assert (
        fake.fails(PYTHON='python3.13') == 'PYTHON=python3.13 is Python 3.13.1; 3.10, 3.11 or 3.12 is needed'
    )


def test_no_python_at_all(fake):
    fake.python.unlink()
    assert fake.fails() == 'no python3 was found; 3.10, 3.11 or 3.12 is needed (set PYTHON=)'
    assert fake.fails(PYTHON='python3.12') == 'PYTHON=python3.12 does not run'


def test_python_without_venv(fake):
    fake.python.unlink()
    fake.command('python3', 'echo 3.8.10')
    fake.command('python3.12', 'case "$*" in *venv*) exit 1 ;; *) echo 3.12.1 ;; esac')
    assert fake.fails().startswith('python3.12 cannot make a virtual environment (install python3-venv')


@pytest.mark.parametrize(
    ('step', 'output', 'shown'),
    [
        (
            'some-torch',
            'WARNING: x\nERROR: No matching distribution found for torch\n',
            'No matching distribution',
        ),
        ('onedl-mmcv', 'a.cpp:3: fatal error: oops.h: No such file\nERROR: Failed building wheel', 'oops.h'),
        ('some-packages', 'something odd\n\n', 'something odd'),
    ],
)
def test_pip_failure_in_one_line(fake, step, output, shown):
    fake.state(FRESH)
    fake.answer('pip_fails_on', step)
    fake.answer('pip_output', output)
    line = fake.fails()
    assert line.startswith('pip failed: ') and shown in line
    log = Path(line.split('(log: ')[1].rstrip(')'))
    assert output.strip() in log.read_text()


def test_original_packages_are_not_overwritten(fake):
    fake.state('clash ' + FRESH)
    assert 'clash is old' in (line := fake.fails())
    assert line.endswith("whose files OneDL's builds would overwrite: use a new environment")
    assert fake.calls == []


def test_opencv_without_its_libraries_is_replaced_by_the_headless_build(fake):
    fake.state('ops')
    fake.answer('ops', '3')
    assert fake.run().returncode == 0
    (call,) = [call for call in fake.calls if 'opencv' in call]
    assert call.endswith('--force-reinstall --no-deps opencv-python-headless==4.12.0.88')


def test_mmcv_built_for_another_torch_is_built_again(fake):
    fake.state('ops')
    fake.answer('ops', '4')
    assert fake.run().returncode == 0
    (call,) = [call for call in fake.calls if 'mmcv' in call]
    assert {'--no-cache-dir', '--force-reinstall', '--no-deps', '--no-build-isolation'} <= set(call.split())


def test_ops_that_never_load_are_an_error(fake):
    fake.state('ops')
    fake.answer('ops', '4\n4\n4')
    assert 'installed, but it does not run: ImportError: it does not load' in fake.fails()
    assert 'stamp' not in fake.calls


def test_cuda_takes_the_ready_made_build(fake):
    fake.state(FRESH)
    fake.command('nvidia-smi', 'exit 0')
    fake.answer('no_cuda', '0')
    (fake.bin / 'c++').unlink()
    result = fake.run()
    assert result.returncode == 0, result.stderr
    mmcv = [call for call in fake.calls if 'onedl-mmcv' in call]
    assert mmcv == ['mim install --no-deps --only-binary=onedl-mmcv onedl-mmcv==2.3.6']


def test_cuda_without_a_ready_made_build_compiles(fake):
    fake.state(FRESH)
    fake.command('nvidia-smi', 'exit 0')
    fake.command('nvcc', 'exit 0')
    fake.answer('no_cuda', '0')
    fake.answer('pip_fails_on', 'mim install')
    fake.answer('pip_output', 'ERROR: none')
    result = fake.run()
    assert result.returncode == 0, result.stderr
    assert 'no ready-made build for this torch and CUDA' in result.stdout
    assert any('--no-build-isolation' in call and 'onedl-mmcv' in call for call in fake.calls)


def test_a_second_run_waits_for_the_first(fake):
    lock = fake.root / '.venv' / 'mmslg-install.lock'
    with subprocess.Popen(['flock', lock, 'sleep', '2']):
        time.sleep(0.5)
        result = fake.run()
    assert result.returncode == 0
    assert 'another installation into this environment is running: waiting for it' in result.stdout


def test_prints_the_interpreter(fake, tmp_path):
    assert fake.run('--print-python').stdout.strip() == str(fake.python)
    assert fake.run('--print-python', VIRTUAL_ENV='/venv').stdout.strip() == '/venv/bin/python'
    conda = {'CONDA_PREFIX': '/conda', 'CONDA_DEFAULT_ENV': 'slg'}
    assert fake.run('--print-python', **conda).stdout.strip() == '/conda/bin/python'
    conda['CONDA_DEFAULT_ENV'] = 'base'
    assert fake.run('--print-python', **conda).stdout.strip() == str(fake.python)


def test_options(fake):
    assert 'TORCH_INDEX_URL' in fake.run('-h').stdout
    assert fake.fails('--no-such') == 'unknown option --no-such; see bash tools/install.sh -h'
