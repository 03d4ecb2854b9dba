"""Every command that the documents print runs as printed; the quick ones really do."""

import argparse
import re
import runpy
import shlex
import sys

import pytest
from helpers import ROOT, TINY, iterations, write_pairs

DOCS = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]


def blocks():
    """Yield (document, command) for every command of the shell blocks, continued lines joined."""
    for doc in DOCS:
        for block in re.findall(r'```shell\n(.*?)```', doc.read_text(), re.S):
            for line in block.replace('\\\n', ' ').splitlines():
                if line.strip() and not line.strip().startswith('#'):
                    yield doc.name, line.strip()


COMMANDS = list(blocks())


class Parsed(BaseException):
    """A tool took its command line."""


def parse_and_stop(parser, *args, parse=argparse.ArgumentParser.parse_args, **kwargs):
    parse(parser, *args, **kwargs)
    raise Parsed


def words_of(command):
    return [w for w in shlex.split(command) if not re.match(r'[A-Z_]+=', w)]


@pytest.mark.parametrize(('doc', 'command'), COMMANDS, ids=[f'{d}: {c[:60]}' for d, c in COMMANDS])
def test_files_and_flags_of_a_command_exist(doc, command, monkeypatch):
    words = words_of(command)
    for word in words:
        if word.startswith(('tools/', 'configs/', './tools/')):
            assert (ROOT / word).exists(), f'{doc} names {word}'
    script = next((w for w in words if w.startswith('tools/')), None)
    if script is None:
        assert words[0] in ('source', 'export', 'pip', 'git', 'mim'), command
        return
    if script.endswith('.py'):
        monkeypatch.setattr(sys, 'argv', words[words.index(script) :])
        monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse_and_stop)
        monkeypatch.chdir(ROOT)
        monkeypatch.syspath_prepend(str((ROOT / script).parent))  # as Python itself does
        with pytest.raises(Parsed):
            runpy.run_path(script, run_name='__main__')
        return
    text = (ROOT / script).read_text()
    for flag in (w for w in words[words.index(script) :] if w.startswith('--')):
        assert flag in text, f'{doc}: {script} does not know {flag}'


@pytest.mark.slow
def test_the_walk_through_your_own_data_runs_as_printed(run_quickly, tmp_path):
    """The README's commands in their order, on drawn pairs, with a tiny model and few iterations."""
    readme = (ROOT / 'README.md').read_text()
    block = re.search(r'## Your own data.*?```shell\n(.*?)```', readme, re.S).group(1).replace('\\\n', ' ')
    folder, out = tmp_path / 'pairs', tmp_path / 'work_dirs'
    for split in ('train', 'test'):
        write_pairs(folder, 3, split=split)
    ran = []
    for line in block.splitlines():
        line = line.strip()
        if not line or line.startswith('source'):
            continue
        line = line.replace('DIR', str(folder)).replace('work_dirs', str(out)).replace('iter_800', 'iter_2')
        words = shlex.split(line)
        assert words[0] == 'python'
        if str(out / 'my_pairs.py') in words[2:3]:
            words += ['--cfg-options', *TINY, *(iterations(2) if words[1] == 'tools/train.py' else ())]
        process = run_quickly(*words[1:])
        assert process.returncode == 0, f'{line}\n{process.stdout[-1500:]}\n{process.stderr[-1500:]}'
        ran.append(words[1])
    assert ran == [
        'tools/captions/generate.py',
        'tools/captions/encode.py',
        'tools/new_config.py',
        'tools/analysis/browse_pairs.py',
        'tools/train.py',
        'tools/test.py',
        'tools/analysis/draw_predictions.py',
    ]
    assert (out / 'pairs/contact_sheet.png').is_file() and (out / 'found/contact_sheet.png').is_file()


def test_links_lead_somewhere():
    for doc in DOCS:
        for target in re.findall(r'\]\((?!http)([^)#]+)', doc.read_text()):
            assert (doc.parent / target).exists(), f'{doc.name} links to {target}'
