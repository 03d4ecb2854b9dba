"""The page to try a detector on, in a real browser where there is one."""

import json
import shutil
import struct
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from socket import create_connection

import cv2
import numpy as np
import pytest
from helpers import TINY, write_leaf, write_pairs, write_weights
from mmengine.registry import DefaultScope

pytest.importorskip('gradio', reason='the page wants requirements/demo.txt')

from mmslg.apis.launch import parse_options, read_config
from mmslg.apis.pair_inferencer import PairInferencer
from mmslg.apis.profiling import build_detector
from mmslg.captions.building import build_captioner
from mmslg.captions.captioners.base import Captioner, CaptionFailure
from mmslg.demo.page import CSS, DemoPage
from mmslg.demo.server import Wall, is_needed, listen, page_server, upload_folder
from mmslg.demo.uploads import Upload, read_image, take_upload
from mmslg.errors import InputError

SCRIPT = '<script>document.title = "hacked"</script><img src=x onerror="document.title = \'hacked\'">'
PARTS = ('environment', 'scene', 'objects', 'thermal')
PATIENCE = 30


def bomb(path, width=10_000, height=10_000):
    """Write a PNG whose header promises 100 megapixels and which holds no pixels."""

    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    data = (
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', header)
        + chunk(b'IDAT', zlib.compress(b''))
        + chunk(b'IEND', b'')
    )
    path.write_bytes(data)
    return path


@pytest.fixture(scope='module')
def pairs(tmp_path_factory):
    """Drawn pairs; the infrared images of 16 bits."""
    folder = tmp_path_factory.mktemp('pairs')
    write_pairs(folder, 3)
    for path in (folder / 'infrared').iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.uint16) * 64)
    return folder


@pytest.fixture(scope='module')
def inferencer(pairs, tmp_path_factory):
    cfg = read_config(str(write_leaf(pairs)), parse_options(TINY))
    path = tmp_path_factory.mktemp('weights') / 'tiny.pth'
    write_weights(path, build_detector(cfg, seed=1))
    yield PairInferencer(cfg, path, 'cpu', encoder='hashed')
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope='module')
def scratch(tmp_path_factory):
    """The folder for temporary files."""
    former, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp('scratch'))
    yield Path(tempfile.tempdir)
    tempfile.tempdir = former


@pytest.fixture(scope='module')
def served(inferencer, pairs, tmp_path_factory, scratch):
    """The page on a free port of this machine; gives its address and the folder of uploads."""
    examples = {'one': (pairs / 'visible' / 'train_001.png', pairs / 'infrared' / 'train_001.png')}
    with upload_folder() as folder, listen('127.0.0.1', 0) as socket:
        page = DemoPage(inferencer, folder, build_captioner('photometric'), examples)
        server = page_server(page.blocks(), folder, True, CSS)
        thread = threading.Thread(target=server.run, kwargs=dict(sockets=[socket]), daemon=True)
        thread.start()
        yield f'http://127.0.0.1:{socket.getsockname()[1]}', Path(folder)
        server.should_exit = True
        thread.join(10)
    assert not Path(folder).exists()


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    """A headless Chromium with a profile of its own."""
    webdriver = pytest.importorskip('selenium.webdriver', reason='the browser is driven by selenium')
    chromium = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
    driver = shutil.which('chromedriver')
    if not (chromium and driver):
        pytest.skip('no Chromium with its driver here (on Debian: apt-get install chromium chromium-driver)')
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        'headless',
        'no-sandbox',
        'disable-gpu',
        'disable-quic',
        'disable-dev-shm-usage',
        'no-first-run',
        'disable-background-networking',
        'disable-component-update',
        'disable-sync',
        'window-size=1300,1500',
        f'user-data-dir={tmp_path_factory.mktemp("profile")}',
    ):
        options.add_argument(f'--{flag}')
    options.set_capability('goog:loggingPrefs', {'performance': 'ALL'})
    window = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield window
    window.quit()


class Page:
    """What a person does on the page."""

    def __init__(self, browser, address):
        self.browser = browser
        browser.get(address)
        self.until(lambda: self.find('#visible-file input[type=file]') and self.find('#detect'))

    def find(self, selector):
        found = self.browser.find_elements('css selector', selector)
        return found[0] if found else None

    def until(self, condition):
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.browser, PATIENCE, 0.1, (Exception,)).until(lambda _: condition())

    def send(self, modality, path):
        field = self.until(lambda: self.find(f'#{modality}-file input[type=file]'))
        field.send_keys(str(path))

    def text(self, selector):
        found = self.find(selector)
        return found.text if found else ''

    def choose(self, pair_folder, name='train_002.png'):
        for modality in ('visible', 'infrared'):
            self.send(modality, pair_folder / modality / name)
            self.until(lambda modality=modality: self.find(f'#{modality}-preview img'))
        self.until(lambda: self.caption('thermal').get_attribute('value'))

    def caption(self, part):
        return self.find(f'#caption-{part} textarea, #caption-{part} input')

    def fill(self, part, text):
        field = self.caption(part)
        field.clear()
        field.send_keys(text)

    def lower_the_score(self):
        field = self.find('#score input[type=number]')
        field.send_keys('\ue009a\ue000', '0\t')

    def detect(self):
        self.find('#detect').click()


@pytest.fixture
def page(browser, served):
    return Page(browser, served[0])


@pytest.mark.slow
def test_two_uploads_and_an_edited_caption_give_boxes_on_both(page, pairs, served, browser):
    page.choose(pairs)
    assert '16 bits' in page.text('#infrared-preview') and 'train_002.png' in page.text('#visible-preview')
    page.fill('scene', 'a caption of mine')
    page.detect()
    page.until(lambda: 'scene: a caption of mine' in page.text('#result'))
    assert int(page.find('#result img').get_attribute('naturalWidth')) > 2 * 96
    page.lower_the_score()
    page.until(lambda: page.find('#result td') and 'from a score of 0.' in page.text('#result'))
    browser.find_element('xpath', '//button[@role="tab"][contains(., "Structure")]').click()
    assert page.until(lambda: page.find('#structure img').is_displayed())
    assert is_emptied(served[1])
    asked = [
        json.loads(entry['message'])['message']['params']['request']['url']
        for entry in browser.get_log('performance')
        if '"Network.requestWillBeSent"' in entry['message']
    ]
    foreign = [url for url in asked if not url.startswith((served[0], 'data:', 'blob:', 'chrome', 'about:'))]
    assert asked and not foreign


@pytest.mark.slow
def test_a_script_as_caption_is_text(page, pairs, browser):
    page.choose(pairs)
    for part in PARTS:
        page.fill(part, SCRIPT)
    page.detect()
    page.until(lambda: 'onerror' in page.text('#result'))
    assert browser.title != 'hacked' and not page.find('#result img[src=x]')


@pytest.mark.slow
def test_what_is_no_pair_gets_one_friendly_message(page, served, tmp_path):
    (tmp_path / 'notes.png').write_text('no picture')
    page.detect()
    page.until(lambda: 'Choose the visible and infrared image first' in page.text('#note'))
    page.send('visible', tmp_path / 'notes.png')
    page.until(lambda: 'notes.png: this is no image' in page.text('#note'))
    page.send('visible', bomb(tmp_path / 'large.png'))
    page.until(lambda: '10000x10000 are 100 megapixels' in page.text('#note'))
    assert len(page.browser.find_elements('css selector', '#note p')) == 1
    assert is_emptied(served[1])


def test_the_header_alone_refuses_a_large_image(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, 'imdecode', None)
    for width in (10_000, 100_000):
        path = bomb(tmp_path / 'large.png', width)
        with pytest.raises(InputError, match=r'large\.png.*megapixels'):
            take_upload(str(path), tmp_path, 'visible')
        assert not path.exists()


def test_nothing_outside_the_folder_is_read_or_deleted(tmp_path, pairs):
    image = pairs / 'visible' / 'train_001.png'
    (tmp_path / 'uploads').mkdir()
    (tmp_path / 'uploads' / 'link.png').symlink_to(image)
    for path in (
        image,
        tmp_path / 'uploads' / 'link.png',
        tmp_path / 'uploads' / '..' / image.name,
        '/etc/passwd',
    ):
        with pytest.raises(InputError, match='no upload'):
            take_upload(str(path), tmp_path / 'uploads', 'visible')
    assert image.exists()


def ask(url, data=None, headers=None):
    """Return status and text of an answer."""
    request = urllib.request.Request(url, data, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def post(url, data, function):
    """Return status and text of a call of one of the page's functions."""
    body = json.dumps(dict(data=data, fn_index=function, session_hash='s')).encode()
    return ask(url, body, {'Content-Type': 'application/json'})


def is_emptied(folder):
    """Whether no file is left; the server tidies up just after it has answered."""
    for _ in range(100):
        if not [path for path in folder.rglob('*') if path.is_file()]:
            return True
        time.sleep(0.05)
    return False


def form(name, data):
    """Return a multipart form with one file, and its headers."""
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    return head.encode() + data + b'\r\n--x--\r\n', {'Content-Type': 'multipart/form-data; boundary=x'}


@pytest.mark.parametrize('name', ['../../../../tmp/evil.png', '/etc/cron.d/evil', '..\\..\\evil.png', '..'])
def test_a_path_as_file_name_stays_in_the_folder(served, scratch, name):
    address, folder = served
    status, text = ask(f'{address}/gradio_api/upload', *form(name, b'data'))
    assert status in (200, 400)
    for path in json.loads(text) if status == 200 else ():
        assert folder.resolve() in Path(path).resolve().parents
        Path(path).unlink()
    assert is_emptied(scratch)
    assert not Path('/etc/cron.d/evil').exists() and not Path('/tmp/evil.png').exists()


def test_a_path_of_the_users_choice_is_not_read(served, tmp_path):
    address, folder = served
    secret = tmp_path / 'secret.png'
    secret.write_text('secret')
    for route in (
        'gradio_api/file=',
        'file=',
        'gradio_api/file/',
        'gradio_api/proxy=',
        'static/../../',
        'assets/',
    ):
        status, text = ask(f'{address}/{route}{secret}')
        assert status in (403, 404) and 'secret' not in text.replace(str(secret), '')
    config = json.loads(ask(f'{address}/config')[1])
    function = next(d['id'] for d in config['dependencies'] if d['targets'][0][1] == 'upload')
    for path in (str(secret), f'{folder}/../secret.png', 'http://127.0.0.1:1/secret.png', 'secret.png'):
        file = {'path': path, 'meta': {'_type': 'gradio.FileData'}}
        for data in ([file], [[file]], [{'value': file}]):
            for route in ('run/predict', 'queue/join'):
                status, text = post(f'{address}/gradio_api/{route}', data, function)
                assert status == 403 and 'not uploaded' in text
    assert secret.exists() and is_emptied(folder)


def test_without_the_wall_gradio_refuses_a_path_too(served, tmp_path, monkeypatch):
    monkeypatch.setattr(Wall, '_names_uploads_alone', lambda *_: True)
    address, folder = served
    secret = tmp_path / 'secret.png'
    secret.write_text('secret')
    config = json.loads(ask(f'{address}/config')[1])
    function = next(d['id'] for d in config['dependencies'] if d['targets'][0][1] == 'upload')
    file = {'path': str(secret), 'meta': {'_type': 'gradio.FileData'}}
    status, text = post(f'{address}/gradio_api/run/predict', [file], function)
    assert status == 500 and str(secret) not in text
    assert secret.exists() and is_emptied(folder)


def test_a_detection_alone_waits_in_the_queue(served):
    address, _ = served
    calls = json.loads(ask(f'{address}/config')[1])['dependencies']
    detection = next(d['id'] for d in calls if d['targets'] and d['targets'][0][1] == 'click')
    assert [d['id'] for d in calls if d['queue']] == [detection]
    status, text = post(f'{address}/gradio_api/run/predict', [None, None, 0.3, '', '', '', ''], detection)
    assert status == 404 and 'join the queue' in text


def test_the_wall_refuses_what_is_too_large_or_comes_from_elsewhere(served):
    address, folder = served
    status, _ = ask(address, headers={'Host': 'evil.example'})
    assert status == 421
    body, headers = form('a.png', b'data')
    assert ask(f'{address}/gradio_api/upload', body, {**headers, 'Origin': 'http://evil.example'})[0] == 403
    assert ask(f'{address}/gradio_api/queue/join', b' ' * 200_000)[0] == 413
    assert ask(f'{address}/nothing', b' ' * 8_000_000)[0] == 404  # read whole, or the answer would be lost
    assert is_emptied(folder)


def test_a_refused_request_that_never_ends_is_answered(served, monkeypatch):
    monkeypatch.setattr('mmslg.demo.server.MAX_DISCARD', 0.2)
    host, port = served[0].removeprefix('http://').split(':')
    with create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f'POST /nothing HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\n'.encode())
        assert connection.recv(12) == b'HTTP/1.1 404'


def test_a_captioner_that_fails_is_said(inferencer, tmp_path):
    class Failing(Captioner):
        def caption(self, visible, infrared):
            raise CaptionFailure('<b>too dark')

    upload = Upload('a.png', np.zeros((8, 8, 3), np.uint8))
    *texts, note = DemoPage(inferencer, tmp_path, Failing()).write_captions(upload, upload)
    assert texts == [''] * 4 and 'No caption could be written: &lt;b&gt;too dark' in note


def test_some_captions_are_not_enough_and_none_is_neutral(inferencer, tmp_path, pairs):
    page = DemoPage(inferencer, tmp_path)
    visible, infrared = (
        Upload('a.png', read_image(pairs / what / 'train_001.png', what)) for what in ('visible', 'infrared')
    )
    assert page.write_captions(visible, infrared)[:4] == [''] * 4
    found, *_, note = page.detect(visible, infrared, 0.0, 'night', '', ' ', 'hot')
    assert found is None and 'Fill in scene, objects too' in note
    found, result, structure, note = page.detect(visible, infrared, 0.0, '', '', '', '')
    assert 'Caption: neutral' in result and 'edges' in structure.lower() and not note


def test_the_tool_says_what_it_cannot_use(run_quickly, pairs, tmp_path, monkeypatch):
    (tmp_path / 'empty').mkdir()
    with listen('127.0.0.1', 0) as taken:
        port = str(taken.getsockname()[1])
        for args, text in (
            (('--port', port), f'127.0.0.1, port {port}: cannot listen there'),
            (('--port', '70000'), '--port 70000: wanted 0 to 65535'),
            (('--examples', tmp_path / 'empty'), 'empty'),
            (('--captioner', 'nobody'), "no captioner is called 'nobody'"),
        ):
            done = run_quickly('tools/demo_page.py', pairs / 'leaf.py', 'none.pth', *args)
            assert done.returncode == 1 and text in done.stderr.splitlines()[-1]
    monkeypatch.setitem(sys.modules, 'gradio', None)
    monkeypatch.delitem(sys.modules, 'mmslg.demo.page')
    done = run_quickly('tools/demo_page.py', pairs / 'leaf.py', 'none.pth', '--port', '0')
    assert done.returncode == 1 and 'pip install -r requirements/demo.txt' in done.stderr


@pytest.mark.parametrize(
    ('path', 'needed'),
    [
        ('/', True),
        ('/assets/index.js', True),
        ('/assets/../../x', False),
        ('/gradio_api/heartbeat/abc', True),
        ('/gradio_api/heartbeat/a/b', False),
        ('/gradio_api/run/predict', True),
        ('/gradio_api/run/detect', False),
        ('/gradio_api/vibe-edit', False),
        ('/monitoring', False),
    ],
)
def test_routes(path, needed):
    assert is_needed(path) is needed
