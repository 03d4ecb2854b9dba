import base64
import re

import cv2
import numpy as np

from mmslg.visualization.boxes import INK, MUTED, write_text
from mmslg.visualization.report_page import WIDTH, Panel, Section, draw_page, format_html, panel_width

RED = np.full((40, 60, 3), (0, 0, 255), np.uint8)


def sections():
    panels = [Panel(f'panel {i}', RED, 'a note') for i in range(3)]
    return [Section('First', 'what it is', panels, 2), Section('Empty', '', [], 2)]


def test_panels_stand_in_rows():
    page = draw_page('title', sections())
    red = (page == (0, 0, 255)).all(2)
    width, height = panel_width(2), round(40 * panel_width(2) / 60)
    assert page.shape[1] == WIDTH and red.sum() == 3 * width * height
    rows = np.flatnonzero(red[:, 20])
    assert len(rows) == 2 * height and red[rows[0], -20] and not red[rows[-1], -20]


def test_no_line_of_a_page_is_cut():
    page = draw_page('(Agjpq', [Section('(Agjpq', '(Agjpq', [], 1)])
    for strip, size, colour in ((page[:40], 0.8, INK), (page[40:80], 0.65, INK), (page[80:], 0.45, MUTED)):
        whole = np.full((100, WIDTH, 3), 255, np.uint8)
        write_text(whole, '(Agjpq', (12, 50), colour, size)
        assert (strip < 255).sum() == (whole < 255).sum() > 0


def test_html_holds_its_pictures_and_runs_nothing():
    text = format_html('<script>alert(1)</script>', sections())
    assert '<script' not in text and '&lt;script&gt;' in text
    assert not re.findall(r'(?:src|href)="(?!data:)', text) and '@import' not in text and 'url(' not in text
    data = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', text)
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(data[0]), np.uint8), cv2.IMREAD_COLOR)
    assert len(data) == 3 and picture.shape == RED.shape
    assert abs(picture[20, 30].astype(int) - RED[0, 0]).max() < 4
