"""tools/install.sh against a stand-in interpreter: what it says, what it asks pip for, in which order."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmcv import ops

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = 'awk bash cat cut date df dirname env find flock grep head mkdir mktemp nproc rm sed sleep tail wc'
MMCV = 'onedl-mmcv==2.3.6'

# Answers like the interpreter of an environment; $FAKE holds what it is to answer. `faults` has a line for
# each trial of the compiled parts; a line that is empty, or missing, says that all of them run.
PYTHON = r"""#!/usr/bin/env bash
case "$*" in
    *--dry-run*)
        [ -f "$FAKE/complete" ] || exit 1
        cat "$FAKE/complete" ;;
    "-m pip install"*|*"-m mim install"*)
        echo "${@:2}" >>"$FAKE/calls"
        if [ -f "$FAKE/pip_fails_on" ] && [[ "$*" == *"$(cat "$FAKE/pip_fails_on")"* ]]; then
            cat "$FAKE/pip_output"
            exit 1
        fi
        if [ -f "$FAKE/pip_hangs" ]; then sleep 60; fi ;;
    "-m pip show torch") echo "Version: 2.8.0+cpu" ;;
    "-m pip show opencv-python") echo "Version: 4.12.0.88" ;;
    "-m pip cache dir") echo /cache ;;
    "-m pip --version") ;;
    -I*)
        [ "${*: -1}" = onedl-mmcv==2.3.6 ] || exit 9
        line=$(head -n 1 "$FAKE/faults")
        sed -i 1d "$FAKE/faults"
        [ -z "$line" ] || echo "$line"
        [ "$line" != crash ] || exit 139 ;;
    *version_info*) cat "$FAKE/version" ;;
    *include*) echo "$FAKE/include" ;;
    *purelib*) echo "$FAKE/site" ;;
    *is_available*) exit "$(cat "$FAKE/no_cuda")" ;;
    *) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


class Fake:
    """A tree with the script, a stand-in environment and a PATH that holds nothing else."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / 'tree'
        self.answers = folder / 'answers'
        self.bin = folder / 'bin'
        for path in (self.root / 'tools', self.answers / 'include', self.answers / 'site', self.bin):
            path.mkdir(parents=True)
        shutil.copy(ROOT / 'tools' / 'install.sh', self.root / 'tools')
        shutil.copytree(ROOT / 'requirements', self.root / 'requirements')
        for name in COMMANDS.split():
            (self.bin / name).symlink_to(shutil.which(name))
        (self.answers / 'include' / 'Python.h').touch()
        fresh = {'version': '3.11', 'faults': 'mmcv: No module named mmcv', 'no_cuda': '1', 'calls': ''}
        for name, text in fresh.items():
            self.answer(name, text)
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

    def has(self, name: str) -> Path:
        """Put the metadata folder of an installed package into the environment."""
        folder = self.answers / 'site' / f'{name}.dist-info'
        folder.mkdir()
        (folder / 'RECORD').touch()
        return folder

    def environment(self, **env: str) -> dict[str, str]:
        return {'PATH': str(self.bin), 'FAKE': str(self.answers), **env}

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess:
        command = ['bash', self.root / 'tools' / 'install.sh', *args]
        return subprocess.run(
            command, env=self.environment(**env), capture_output=True, text=True, timeout=60
        )

    def succeeds(self, *args: str, **env: str) -> str:
        result = self.run(*args, **env)
        assert (result.returncode, result.stderr) == (0, ''), result.stdout + result.stderr
        return result.stdout

    def fails(self, *args: str, **env: str) -> str:
        """Run it, expect exit code 1 and one line of error, and return that line."""
        result = self.run(*args, **env)
        assert result.returncode == 1, result.stdout + result.stderr
        assert result.stderr.count('\n') == 1, result.stderr
        assert result.stderr.startswith('error: ')
        return result.stderr.removeprefix('error: ').strip()

    @property
    def calls(self) -> list[str]:
        return (self.answers / 'calls').read_text().splitlines()


@pytest.fixture
def fake(tmp_path):
    return Fake(tmp_path)


def complete(fake, text='Requirement already satisfied: torch'):
    fake.answer('complete', text)
    fake.answer('faults', '')


def test_does_nothing_when_pip_is_content_and_all_parts_run(fake):
    complete(fake)
    fake.command('df', 'echo header; echo dev 0 0 0 100% /')  # a full disk is no matter then
    assert 'mmslg and all it needs are there' in fake.succeeds()
    assert fake.calls == []


@pytest.mark.parametrize('what', ['a release of a requirement', 'a part that does not run'])
def test_installs_when_something_is_missing(fake, what):
    complete(fake, 'Would install timm-1.0.20' if what.startswith('a release') else 'satisfied')
    fake.answer('faults', '' if what.startswith('a release') else 'mmslg: another copy is installed\n\n')
    fake.succeeds()
    assert len(fake.calls) == 4


def test_installs_in_the_order_that_mmcv_needs(fake):
    out = fake.succeeds()
    assert len(fake.calls) == 5
    tools, torch, packages, mmcv, mmslg = (call.split() for call in fake.calls)
    assert {'pip>=23.1', 'setuptools>=77,<81', 'wheel', 'ninja'} <= set(tools)
    assert [re.match('[a-z]+', line)[0] for line in torch[-2:]] == ['torch', 'torchvision']
    assert set(torch[-2:]) <= set(packages) and MMCV not in packages
    assert {'onedl-mmdetection', 'timm', 'transformers'} <= {re.match('[A-Za-z-]+', p)[0] for p in packages}
    assert mmcv[-1] == MMCV and mmslg[-2:] == ['-e', str(fake.root)]
    assert {'--no-build-isolation', '--no-deps'} <= set(mmcv) & set(mmslg)
    assert not {'--no-build-isolation', '--no-deps'} & {*tools, *torch, *packages}
    assert [f'[{number}/5]' in out for number in range(1, 6)] == [True] * 5
    assert 'installed in' in out and 'activate it with: source .venv/bin/activate' in out


def test_the_tests_requirements_are_taken_on_demand(fake):
    fake.succeeds()
    assert 'pytest>=' not in ' '.join(fake.calls)
    fake.succeeds('--tests')
    assert 'pytest>=' in fake.calls[7]


def test_mmcv_that_runs_is_left_alone(fake):
    fake.answer('faults', '')
    fake.succeeds()
    assert len(fake.calls) == 4 and MMCV not in ' '.join(fake.calls)


@pytest.mark.parametrize('fault', ['mmcv: it was built for torch 2.4.0, not 2.8.0', 'crash'])
def test_mmcv_that_does_not_run_is_compiled_anew(fake, fault):
    fake.answer('faults', fault)
    stamp = fake.root / '.venv' / 'mmslg-mmcv-torch.txt'
    stamp.write_text('2.4.0')
    assert ('trying it crashes Python' if fault == 'crash' else fault) in fake.succeeds()
    assert {'--force-reinstall', '--cache-dir', '/cache/mmslg-torch-2.8.0+cpu'} <= set(fake.calls[3].split())
    assert not stamp.exists()


def test_torch_index_serves_torch_alone(fake):
    fake.succeeds(TORCH_INDEX_URL='file:///wheels')
    (call,) = [call for call in fake.calls if '--index-url file:///wheels' in call]
    assert call.split()[-1].startswith('torchvision')


def test_no_compiler_is_said_before_anything_is_fetched(fake):
    (fake.bin / 'c++').unlink()
    assert fake.fails() == 'no C++ compiler for mmcv (on Debian: apt-get install g++)'
    (fake.answers / 'include' / 'Python.h').unlink()
    fake.command('c++', 'exit 0')
    assert 'no Python headers' in fake.fails()
    assert fake.calls == []


def test_compiler_is_not_wanted_when_mmcv_is_there(fake):
    fake.has('onedl_mmcv-2.3.6')
    fake.answer('faults', '')
    (fake.bin / 'c++').unlink()
    fake.succeeds()


@pytest.mark.parametrize(
    ('torch', 'free', 'needed'), [(False, 11, 12), (True, 2, 3), (False, 12, None), (True, 3, None)]
)
def test_disk_is_checked_before_anything_big(fake, torch, free, needed):
    if torch:
        (fake.answers / 'site' / 'torch').mkdir()
    fake.command('df', f'echo header; echo dev 0 0 {free * 1048576 + 1000} 1% /')
    if needed is None:
        fake.succeeds()
    else:
        line = fake.fails()
        assert line.startswith(f'{free} GiB of disk are free') and line.endswith(f'{needed} GiB are needed')
        assert fake.calls == []


def test_wrong_python_in_the_active_environment(fake, tmp_path):
    fake.answer('version', '3.9')
    fake.write(tmp_path / 'active' / 'bin' / 'python', PYTHON)
    line = fake.fails(VIRTUAL_ENV=str(tmp_path / 'active'))
    assert re.fullmatch(r'one of Python [\d. ]+ is needed; that of .*/active is 3\.9', line)


def test_wrong_python_everywhere(fake):
    fake.python.unlink()
    assert fake.fails().endswith('is missing (set PYTHON=)')
    fake.command('python3.10', 'echo 3.9')
    assert fake.fails().endswith('is needed; python3.10 is 3.9 (set PYTHON=)')
    fake.command('python4', 'echo 4.0')
    assert fake.fails(PYTHON='python4').endswith('is needed; python4 is 4.0 (set PYTHON=)')
    fake.command('python3.12', 'case "$*" in *venv*) exit 1 ;; *) echo 3.12 ;; esac')
    assert fake.fails().startswith('python3.12 cannot make a virtual environment')


def test_supported_pythons_are_those_of_the_package():
    text = (ROOT / 'tools' / 'install.sh').read_text()
    offered = re.search(r"^PYTHONS='(.+)'", text, re.MULTILINE)[1].split()
    setup = (ROOT / 'setup.py').read_text()
    assert sorted(offered) == re.findall(r'Python :: (3\.\d+)', setup)
    low, high = re.search(r"python_requires='>=3\.(\d+),<3\.(\d+)'", setup).groups()
    assert sorted(offered) == [f'3.{minor}' for minor in range(int(low), int(high))]


@pytest.mark.parametrize(
    ('step', 'output', 'shown'),
    [
        ('torchvision', 'WARNING: x\nERROR: No matching distribution found for torch', 'No matching distri'),
        (MMCV, 'a.cpp:3: fatal error: oops.h: No such file\nERROR: Failed building wheel', 'oops.h'),
        (MMCV, '    OSError: CUDA_HOME environment variable is not set.\nerror: x', ': OSError: CUDA_HOME'),
        ('timm', 'something odd\n', 'see the end of the log'),
    ],
)
def test_pip_failure_in_one_line(fake, step, output, shown):
    fake.answer('pip_fails_on', step)
    fake.answer('pip_output', output)
    line = fake.fails()
    assert line.startswith('pip failed: ') and shown in line
    log = Path(line.split('(log: ')[1].rstrip(')'))
    assert output.strip() in log.read_text()


def test_original_packages_are_not_overwritten(fake):
    fake.has('onedl_mmcv-2.3.6')
    fake.has('mmcv_lite-2.1.0')
    line = fake.fails()
    assert 'holds mmcv_lite-2.1.0.dist-info: OneDL' in line and line.endswith('use a new environment')
    assert fake.calls == []


def test_what_an_interrupted_pip_left_is_removed(fake):
    whole, half = fake.has('timm-1.0.20'), fake.has('torch-2.8.0')
    (half / 'RECORD').unlink()
    fake.succeeds()
    assert whole.exists() and not half.exists()


def test_opencv_without_its_libraries_is_replaced_by_the_headless_build(fake):
    fake.answer('faults', 'opencv: libGL.so.1: cannot open shared object file')
    assert 'libGL.so.1' in fake.succeeds()
    (call,) = [call for call in fake.calls if 'opencv-python-headless' in call]
    assert call.endswith('--force-reinstall --no-deps opencv-python-headless==4.12.0.88')


@pytest.mark.parametrize(
    ('faults', 'line'),
    [
        ('torch: libcudart is missing', 'torch: libcudart is missing (log: '),
        ('mmcv: a\nmmcv: undefined symbol', 'installed, but it does not run: mmcv: undefined symbol (log: '),
    ],
)
def test_parts_that_never_run_are_an_error(fake, faults, line):
    fake.answer('faults', faults)
    assert fake.fails().startswith(line)


def test_cuda_takes_the_ready_made_build(fake):
    fake.command('nvidia-smi', 'exit 0')
    fake.answer('no_cuda', '0')
    (fake.bin / 'c++').unlink()
    fake.succeeds()
    calls = [call for call in fake.calls if call.endswith(MMCV)]
    assert calls == [f'mim install --no-deps --only-binary=:all: {MMCV}']


def test_cuda_without_a_ready_made_build_compiles(fake):
    fake.answer('no_cuda', '0')
    fake.answer('faults', 'mmcv: it was built without CUDA\nmmcv: it was built without CUDA')
    fake.answer('pip_fails_on', 'mim install')
    fake.answer('pip_output', 'ERROR: none')
    assert 'no ready-made build for this torch and CUDA' in fake.succeeds()
    assert {'--no-cache-dir', '--no-build-isolation'} <= set(fake.calls[-2].split())


def test_forced_cuda_takes_no_earlier_build(fake):
    fake.succeeds(FORCE_CUDA='1')
    assert '--no-cache-dir' in fake.calls[3].split()


def test_a_second_run_waits_for_the_first(fake):
    complete(fake)
    lock, pipe = fake.root / '.venv' / 'mmslg-install.lock', subprocess.PIPE
    with subprocess.Popen(['flock', lock, 'cat'], stdin=pipe) as first:
        while subprocess.run(['flock', '-n', lock, 'true']).returncode == 0:
            time.sleep(0.02)
        script = ['bash', fake.root / 'tools' / 'install.sh']
        with subprocess.Popen(script, env=fake.environment(), stdout=pipe, text=True) as second:
            assert any('is running: waiting for it' in line for line in second.stdout)
            assert second.poll() is None
            first.stdin.close()
            second.stdout.read()
    assert second.returncode == 0


def test_interruption_ends_pip_and_says_how_to_go_on(fake):
    fake.answer('pip_hangs', '')
    script = fake.root / 'tools' / 'install.sh'
    process = subprocess.Popen(
        ['bash', script], env=fake.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not fake.calls:
        time.sleep(0.1)
    process.terminate()
    _, err = process.communicate(
        timeout=120
    )  # the pipes close when pip, which holds none, and the script end
    assert process.returncode == 1 and err == 'error: interrupted: run it again to go on\n'
    lock = ['flock', '-w', '60', fake.root / '.venv' / 'mmslg-install.lock', 'true']
    assert subprocess.run(lock).returncode == 0, 'pip still runs and holds the lock'


def test_prints_the_interpreter(fake):
    assert fake.succeeds('--print-python').strip() == str(fake.python)
    assert fake.succeeds('--print-python', VIRTUAL_ENV='/venv').strip() == '/venv/bin/python'
    conda = {'CONDA_PREFIX': '/conda', 'CONDA_DEFAULT_ENV': 'slg'}
    assert fake.succeeds('--print-python', **conda).strip() == '/conda/bin/python'
    conda['CONDA_DEFAULT_ENV'] = 'base'
    assert fake.succeeds('--print-python', **conda).strip() == str(fake.python)


def test_options(fake):
    out = fake.succeeds('-h')
    assert 'TORCH_INDEX_URL' in out and 'FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST' in out
    assert fake.fails('--no-such') == 'unknown option --no-such; see bash tools/install.sh -h'


@pytest.fixture
def trial(tmp_path, monkeypatch, capfd):
    """Return a function that runs the trial of the compiled parts here, as of an environment at tmp_path."""
    text = (ROOT / 'tools' / 'install.sh').read_text()
    code = compile(re.search(r"<<'PYTHON'\n(.+?)\nPYTHON\n", text, re.DOTALL)[1], 'trial', 'exec')
    monkeypatch.setattr(sys, 'prefix', str(tmp_path))
    monkeypatch.setattr(sys, 'stdout', sys.stdout)

    def run(wanted: str = MMCV, root: Path = ROOT) -> str:
        monkeypatch.setattr(sys, 'argv', ['-c', str(root), wanted])
        exec(code, {})
        return capfd.readouterr().out.strip()

    return run


def test_trial_passes_here_and_remembers_torch(trial, tmp_path):
    stamp = tmp_path / 'mmslg-mmcv-torch.txt'
    assert trial() == ''
    assert stamp.read_text() == torch.__version__
    stamp.write_text('2.4.0')
    assert trial() == f'mmcv: it was built for torch 2.4.0, not {torch.__version__}'


def test_trial_names_the_part_at_fault(trial, monkeypatch):
    assert trial('onedl-mmcv==2.9.9') == 'mmcv: onedl-mmcv==2.9.9 is wanted'
    assert trial(root='/elsewhere') == 'mmslg: another version or copy is installed'
    monkeypatch.setattr(ops, 'nms_rotated', lambda boxes, *_: (boxes, [0, 1]))
    assert trial() == 'mmcv: nms_rotated keeps two equal boxes on cpu'
    monkeypatch.setitem(sys.modules, 'cv2', None)
    assert trial().startswith('opencv: import of cv2 halted')


def test_trial_wants_cuda_ops_where_they_are_forced(trial, monkeypatch):
    monkeypatch.setattr(ops, 'get_compiling_cuda_version', lambda: 'not available')
    monkeypatch.setenv('FORCE_CUDA', '1')
    assert trial() == 'mmcv: it was built without CUDA'
