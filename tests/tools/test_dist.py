"""The scripts that start several processes: what they say before they start any."""

import pytest


@pytest.mark.parametrize('gpus', ['0', 'x', '-1', '1.5', '08', ''])
def test_a_number_of_processes_that_is_none(run_tool, gpus):
    for words in (('dist_train.sh', 'config.py', gpus), ('dist_test.sh', 'config.py', 'a.pth', gpus)):
        process = run_tool('bash', f'tools/{words[0]}', *words[1:])
        assert process.returncode == 1
        assert process.stderr == f'error: GPUS={gpus}: wanted a number from 1\n'


def test_too_few_arguments(run_tool):
    process = run_tool('bash', 'tools/dist_test.sh', 'config.py', 'a.pth')
    assert process.returncode == 1 and process.stderr.startswith('usage: ')
