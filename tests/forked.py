"""Several processes of one run, forked from the tests': no import is paid twice."""

import gc
import os
import runpy
import sys
import time
import traceback

from reproduction.machine import free_port


def run_forked(job, folder, number=2, limit=120):
    """Call job(rank) in processes with torchrun's environment; return exit code and output of each.

    As torchrun does, the others are ended when one has failed.
    """
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    pids = {}
    for rank in range(number):
        pid = os.fork()
        if not pid:
            _child(job, rank, number, port, folder / f'rank{rank}.txt')
        pids[pid] = rank
    codes = {}
    end = time.monotonic() + limit
    while len(codes) < number:
        for pid in [pid for pid, rank in pids.items() if rank not in codes]:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                codes[pids[pid]] = os.waitstatus_to_exitcode(status)
                if codes[pids[pid]]:
                    for other in (p for p, rank in pids.items() if rank not in codes):
                        os.kill(other, 15)
        if time.monotonic() > end:
            for pid in (p for p, rank in pids.items() if rank not in codes):
                os.kill(pid, 9)
            raise TimeoutError(f'{sorted(codes)} of {number} processes ended within {limit} s')
        time.sleep(0.02)
    return [(codes[rank], _said(folder / f'rank{rank}.txt')) for rank in range(number)]


def _said(file):
    lines = file.read_text().splitlines(keepends=True)
    return ''.join(line for line in lines if not line.startswith('[Gloo]'))


def _child(job, rank, number, port, out):
    file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    environment = dict(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(number),
        MASTER_ADDR='127.0.0.1', MASTER_PORT=port,
    )  # fmt: skip
    _leave(lambda: job(rank), file, environment)


def _leave(job, file, environment):
    """Call a job with its output in a file, and end this process with its exit code."""
    code = 1
    gc.freeze()  # collections would write to, and so copy, all that the tests have imported
    try:
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout, sys.stderr = (os.fdopen(fd, 'w', closefd=False) for fd in (1, 2))
        os.environ.update(environment)
        job()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class ForkedTool:
    """In the place of subprocess.Popen: a tool in a fork of this process, which spares imports."""

    def __init__(self, words, env=None, stdin=None, stdout=None, stderr=None, pass_fds=()):
        self.returncode = None
        self.pid = os.fork()
        if not self.pid:
            sys.argv = [str(word) for word in words[1:]]
            _leave(lambda: runpy.run_path(sys.argv[0], run_name='__main__'), stdout.fileno(), env or {})

    def poll(self):
        if self.returncode is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if done else None
        return self.returncode

    def terminate(self):
        os.kill(self.pid, 15)

    def wait(self, timeout=None):
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
