import sys

from helpers import ROOT

sys.path.append(str(ROOT / 'tools'))  # sample_scenes lies there, beside the tool that draws them
