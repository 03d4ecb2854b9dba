"""A captioner for the process beside detection."""

import os
import time

from mmslg.captions.captioners.base import Captioner, CaptionFailure
from mmslg.captions.schema import StructuredCaption
from mmslg.registry import CAPTIONERS


@CAPTIONERS.register_module(name='moody', force=True)
class MoodyCaptioner(Captioner):
    """Does what the brightness of the first visible pixel says: fail, die, be killed, or caption."""

    version = '1'

    def __init__(self, seconds=0.0):
        self.seconds = seconds

    def caption(self, visible, infrared):
        mood = int(visible[0, 0, 0])
        time.sleep(self.seconds)
        if mood == 1:
            raise CaptionFailure('no idea')
        if mood == 2:
            raise RuntimeError('a bug\nin two lines')
        if mood == 3:
            os.kill(os.getpid(), 9)
        return StructuredCaption('daylight', f'scene {mood}', 'cars', 'high thermal contrast')
