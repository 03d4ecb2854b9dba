"""A captioning run to be killed: ``slow_run.py ANNOTATIONS OUT PAUSE``. Needs neither torch nor mmengine."""

import sys
import time

from mmslg.annotations import read_annotations
from mmslg.captions.captioners.base import Captioner, CaptionFailure
from mmslg.captions.generation import generate_captions
from mmslg.captions.schema import StructuredCaption


class SlowCaptioner(Captioner):
    """Says what the visible image holds, after a pause; every seventh pair fails."""

    version = '1'

    def __init__(self, pause=0.0):
        self.pause = pause

    def caption(self, visible, infrared):
        time.sleep(self.pause)
        number = 256 * int(visible[0, 0, 0]) + int(visible[0, 0, 1])
        if number % 7 == 3:
            raise CaptionFailure(f'{number} is too dull', 'what?')
        return StructuredCaption('clear daylight', 'highway', f'{number} vehicles', 'thermal crossover')


def main():
    pairs = read_annotations(sys.argv[1], need_boxes=False).pairs
    print('ready', flush=True)
    generate_captions(pairs, SlowCaptioner(float(sys.argv[3])), 'slow', sys.argv[2], resume=True, workers=2)


if __name__ == '__main__':
    main()
