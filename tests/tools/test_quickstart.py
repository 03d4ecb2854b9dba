"""tools/quickstart.sh: which run belongs to which data. Its tools are stand-ins that note their calls."""

import shutil

import pytest
from helpers import ROOT, run_tool, write_pairs

PYTHON = """#!/usr/bin/env bash
printf '%s\\t' "$@" >> "$CALLS"
echo >> "$CALLS"
case "$1" in
    *make_sample_scenes.py) mkdir -p "$2"; touch "$2/annotations_train.json" "$2/annotations_test.json" ;;
    *subset_annotations.py) echo "first" > "$6" ;;
    *new_config.py) echo "written" > "${@: -1}" ;;
    *train.py) mkdir -p "$4"; echo "$4/iter_800.pth" > "$4/last_checkpoint" ;;
esac
"""


@pytest.fixture
def quickstart(tmp_path):
    """Run the script with stand-ins; return the lines with which a tool was called."""
    tools, python = tmp_path / 'root' / 'tools', tmp_path / 'python'
    tools.mkdir(parents=True)
    shutil.copy(ROOT / 'tools' / 'quickstart.sh', tools)
    (tools / 'install.sh').write_text(f'[ "$1" != --print-python ] || echo {python}\n')
    python.write_text(PYTHON)
    python.chmod(0o755)
    calls = tmp_path / 'calls'

    def run(*arguments):
        calls.write_text('')
        process = run_tool(
            'bash', tools / 'quickstart.sh', tmp_path / 'work', *arguments, env={'CALLS': str(calls)}
        )
        assert process.returncode == 0, process.stderr
        return calls.read_text().splitlines()

    return run


def words_of(calls, tool):
    """The arguments of the only call of a tool; None if it was not called."""
    found = [line.split('\t') for line in calls if f'/{tool}' in line.split('\t')[0]]
    assert len(found) <= 1
    return found[0] if found else None


def test_a_run_belongs_to_its_data(quickstart, tmp_path):
    """The sample scenes, own pairs, the first of them, other labels: each is trained anew."""
    own = tmp_path / 'own pairs'
    for split in ('train', 'test'):
        write_pairs(own, 3, split=split)
    folders = []
    for arguments in ([], ['--data', own], ['--data', own, '--first', 2]):
        calls = quickstart(*arguments)
        train, test = words_of(calls, 'train.py'), words_of(calls, 'test.py')
        folder = train[3].removesuffix('/train')
        assert train[1] == test[1] == f'{folder}/slgnet_mini.py' and test[2] == f'{folder}/train/iter_800.pth'
        folders.append(folder)
    assert len(set(folders)) == 3
    write_pairs(own, 2, split='train')
    assert words_of(quickstart('--data', own), 'train.py')[3].removesuffix('/train') not in folders


def test_a_finished_run_is_tested_again_and_not_trained(quickstart):
    calls = quickstart()
    assert words_of(calls, 'train.py') and words_of(calls, 'new_config.py')
    calls = quickstart()
    assert words_of(calls, 'new_config.py') is None  # the config of the run is there, maybe edited
    assert words_of(calls, 'train.py') is None and words_of(calls, 'test.py')
