"""Open a page to try a detector on: two images in, boxes on both, captions to edit."""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # read as torch loads: idle threads do not spin
os.environ['OPENCV_IO_MAX_IMAGE_PIXELS'] = str(2**24)  # read as OpenCV loads

from mmslg.apis.launch import add_cfg_options, read_config
from mmslg.captions.building import build_captioner
from mmslg.demo.server import is_loopback, listen, page_server, upload_folder
from mmslg.errors import InputError
from mmslg.pairing import find_pairs
from mmslg.utils.cli import run


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    add_cfg_options(parser)
    parser.add_argument('--host', default='127.0.0.1', help='address to listen on [this machine alone]')
    parser.add_argument('--port', type=int, default=7860, help='port; 0 takes a free one [7860]')
    parser.add_argument(
        '--examples', metavar='DIR', help='folder of pairs to choose from, told by their names'
    )
    parser.add_argument(
        '--captioner', default='photometric', help='writes the first captions; none: neutral [photometric]'
    )
    parser.add_argument('--encoder', help="text encoder [that of the config's caption store]")
    parser.add_argument('--device', help='cpu, cuda:0, ... [the GPU if there is one]')
    return parser.parse_args()


def main() -> None:
    """Load the detector, serve the page until interrupted."""
    args = parse_args()
    found = find_pairs(args.examples).pairs if args.examples is not None else []
    examples = {name: (Path(visible), Path(infrared)) for name, visible, infrared in found}
    captioner = None if args.captioner == 'none' else build_captioner(args.captioner)
    with upload_folder() as folder, listen(args.host, args.port) as socket:
        try:
            from mmslg.demo.page import CSS, DemoPage
        except ModuleNotFoundError as error:
            if error.name not in ('gradio', 'PIL'):
                raise
            raise InputError(f'the page needs {error.name}: pip install -r requirements/demo.txt') from None
        from mmslg.apis.pair_inferencer import PairInferencer

        cfg = read_config(args.config, args.cfg_options)
        inferencer = PairInferencer(cfg, args.checkpoint, args.device, encoder=args.encoder)
        page = DemoPage(inferencer, folder, captioner, examples)
        server = page_server(page.blocks(), folder, is_loopback(args.host), CSS)
        host, port = socket.getsockname()[:2]
        if not is_loopback(host):
            print(f'{host}: whoever reaches this machine may use the page', file=sys.stderr)
        print(f'the page: http://{f"[{host}]" if ":" in host else host}:{port} (Ctrl+C ends it)', flush=True)
        server.run(sockets=[socket])


if __name__ == '__main__':
    run(main)
