"""Cells of reproduce.py whose commands are stand-ins: they leave figures at once."""

import json
from pathlib import Path

from helpers import TINY, iterations, run_here, write_leaf


class Done:
    """A command that has left what the tool leaves, and has ended."""

    started: list = []
    code = 0

    def __init__(self, words, **_):
        Done.started.append(words)
        self.returncode = Done.code if 'train.py' in words[1] else 0
        folder = Path(words[words.index('--work-dir' if '--work-dir' in words else '--out') + 1])
        if words[1].endswith('train.py'):
            seed = next(int(word[-1]) for word in words if word.startswith('randomness.seed='))
            folder.mkdir(parents=True)
            (folder / 'iter_2.pth').write_text(str(seed))
        elif words[1].endswith('test.py'):
            value = 0.25 + 0.25 * int(Path(words[3]).read_text())
            file = folder / '20260101_000000/20260101_000000.json'
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({'coco/bbox_mAP': value, 'coco/bbox_mAP_50': 2 * value}))

    def poll(self):
        return self.returncode

    def terminate(self):
        pass


def in_tool(monkeypatch, capsys, *words):
    code = run_here('reproduce.py', monkeypatch, *words)
    return code, *capsys.readouterr()


def over_two_seeds(pairs, folder):
    words = [write_leaf(pairs), '--seeds', 0, 1, '--work-dir', folder]
    return [*words, '--cfg-options', *TINY, *iterations(2)]
