"""Start the processes of a run with torchrun, and leave it to them to say what is wrong.

Torchrun ends the others when one has failed. Its report, a traceback through its own code, would bury the
line that the failed process has printed: only an end by a signal, of which no process can tell, is said here.
"""

import logging
import signal
import sys

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run


def main() -> int:
    """Run torchrun's command line; return the exit code of the process that failed first."""
    logging.getLogger('torch.distributed.elastic').setLevel(logging.CRITICAL)
    try:
        run(parse_args(sys.argv[1:]))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode >= 0:
            return failure.exitcode
        name = signal.Signals(-failure.exitcode).name
        advice = '; out of memory?' if name == 'SIGKILL' else ''
        print(f'error: the process of rank {rank} was ended by {name}{advice}', file=sys.stderr)
        return 128 - failure.exitcode
    except SignalException as end:
        return 128 + end.sigval
    return 0


if __name__ == '__main__':
    sys.exit(main())
