"""The server of the page, and the wall around Gradio: what the page needs passes, all else is refused."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmslg.demo.uploads import MAX_BYTES, folder_bytes
from mmslg.errors import InputError

ROUTES = ('/', '/config', '/theme.css', '/favicon.ico', '/manifest.json')
PREFIXES = ('/assets/', '/static/')
API = (
    'upload',
    'upload_progress',
    'run/predict',
    'queue/join',
    'queue/data',
    'cancel',
    'reset',
    'startup-events',
    'theme.css',
)
"""What the page asks of Gradio below ``/gradio_api/``, beside ``heartbeat/``: no route that reads files or
fetches addresses is among them."""

MAX_REQUEST = 2**17
"""Largest request that is no upload, bytes."""
MAX_WAITING = 8 * MAX_BYTES
"""Uploads that may lie there at the same time, bytes."""
MAX_DISCARD = 5.0
"""Longest time that the body of a refused request is awaited, seconds."""

_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; object-src 'none'; frame-ancestors 'none'; "
    "base-uri 'self'; form-action 'self'"
)
_HEADERS = [
    (b'content-security-policy', _POLICY.encode()),
    (b'x-content-type-options', b'nosniff'),
    (b'referrer-policy', b'no-referrer'),
]


class Wall:
    """ASGI application around another.

    Refuses routes that the page does not need, requests that are too large, and requests of foreign pages; on
    loopback also those under foreign host names, which is how a foreign page would reach it.

    Args:
        app: What it stands around.
        folder: Where uploads lie.
        loopback: Whether the server listens on this machine alone.
    """

    def __init__(self, app: Any, folder: str | os.PathLike, loopback: bool) -> None:
        self.app = app
        self.folder = folder
        self.loopback = loopback
        self._uploads = 0

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        """Pass a request on, or answer it."""
        if scope['type'] == 'lifespan':
            return await self.app(scope, receive, send)
        if scope['type'] != 'http':
            return None
        status, text = self._judge(scope)

        async def guarded(event: dict) -> None:
            if event['type'] == 'http.response.start':
                event['headers'] = [*event.get('headers', []), *_HEADERS]
            await send(event)

        if not status and scope['path'].endswith('/upload'):
            return await self._upload(scope, receive, guarded)
        if not status and scope['method'] == 'POST':
            body = await _receive_all(receive)
            if self._names_uploads_alone(body):
                return await self.app(scope, _replay(body, receive), guarded)
            status, text = 403, 'a file that was not uploaded is not read'
        elif not status:
            return await self.app(scope, receive, guarded)
        else:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(_discard(receive), MAX_DISCARD)
        headers = [(b'content-type', b'text/plain; charset=utf-8'), (b'connection', b'close')]
        await guarded({'type': 'http.response.start', 'status': status, 'headers': headers})
        await guarded({'type': 'http.response.body', 'body': text.encode()})

    async def _upload(self, scope: dict, receive: Any, send: Any) -> None:
        """Pass an upload on, and remove what a broken or refused one leaves half received."""
        self._uploads += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._uploads -= 1
            if not self._uploads:
                for file in Path(self.folder).iterdir():  # whole ones lie in folders of their own
                    if file.is_file():
                        file.unlink(missing_ok=True)

    def _names_uploads_alone(self, body: bytes) -> bool:
        """Tell whether all files that a request names are uploads; Gradio also fetches addresses."""
        try:
            waiting = [json.loads(body or b'null')]
            folder = Path(self.folder).resolve()
            while waiting:
                value = waiting.pop()
                fields = value if isinstance(value, dict) else {}
                if 'path' in fields and folder not in Path(fields['path']).resolve().parents:
                    return False
                waiting += fields.values() or (value if isinstance(value, list) else ())
        except (ValueError, TypeError, OSError, RecursionError):
            return False
        return True

    def _judge(self, scope: dict) -> tuple[int, str]:
        """Return the status and the line to refuse a request with, 0 to let it pass."""
        headers = {name.decode('latin-1'): value.decode('latin-1') for name, value in scope['headers']}
        path, host = scope['path'], headers.get('host', '')
        if self.loopback and not is_loopback(host_name(host)):
            return 421, 'this page is served to this computer only'
        if headers.get('origin', '').partition('://')[2] not in ('', host):
            return 403, 'requests of other pages are not answered'
        if not is_needed(path):
            return 404, 'there is nothing here'
        if scope['method'] in ('GET', 'HEAD'):
            return 0, ''
        length = headers.get('content-length', '')
        if not (length.isascii() and length.isdigit()):
            return 411, 'the length of the request is missing'
        if not path.endswith('/upload'):
            return (413, 'the request is too large') if int(length) > MAX_REQUEST else (0, '')
        if int(length) > MAX_BYTES + MAX_REQUEST:
            return 413, f'the file is larger than {MAX_BYTES // 2**20} MB'
        if folder_bytes(self.folder) + int(length) > MAX_WAITING:
            return 503, 'too many uploads at the moment; try again in a minute'
        return 0, ''


async def _chunks(receive: Any) -> AsyncIterator[bytes]:
    """Yield the body of a request as it comes."""
    more = True
    while more:
        event = await receive()
        yield event.get('body', b'')
        more = event['type'] == 'http.request' and event.get('more_body', False)


async def _receive_all(receive: Any) -> bytes:
    """Return the body of a request; its length has been judged, and the server holds it to that."""
    return b''.join([chunk async for chunk in _chunks(receive)])


async def _discard(receive: Any) -> None:
    """Read the body of a refused request, up to the size of an upload, and keep nothing.

    A connection closed on bytes that nobody read is reset, and the answer may be lost with it.
    """
    left = MAX_BYTES + MAX_REQUEST
    async for chunk in _chunks(receive):
        left -= len(chunk)
        if left <= 0:
            break


def _replay(body: bytes, receive: Any) -> Any:
    """Return a ``receive`` that gives a body once more, then what comes."""
    events = [{'type': 'http.request', 'body': body, 'more_body': False}]

    async def again() -> dict:
        return events.pop() if events else await receive()

    return again


def is_needed(path: str) -> bool:
    """Tell whether the page needs a route; one that climbs with ``..`` is never needed."""
    if '..' in path or '\\' in path:
        return False
    if path.startswith('/gradio_api/'):
        rest = path.removeprefix('/gradio_api/')
        return rest in API or (rest.startswith('heartbeat/') and '/' not in rest.removeprefix('heartbeat/'))
    return path in ROUTES or path.startswith(PREFIXES)


def host_name(host: str) -> str:
    """Return a Host header without its port."""
    return host[1:].partition(']')[0] if host.startswith('[') else host.partition(':')[0]


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's own."""
    try:
        return host == 'localhost' or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def upload_folder() -> Iterator[str]:
    """Yield a folder of its own for Gradio's files, which goes with all that is in it at the end.

    Enter it before Gradio builds anything: components keep where it lies. Its reports home are off.
    """
    settings = {'GRADIO_ANALYTICS_ENABLED': 'False', 'HF_HUB_OFFLINE': '1'}
    with tempfile.TemporaryDirectory(prefix='mmslg-page-') as folder:
        settings |= {'GRADIO_TEMP_DIR': folder, 'GRADIO_EXAMPLES_CACHE': os.path.join(folder, 'examples')}
        former = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            yield folder
        finally:
            for name, value in former.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises:
        InputError: The address is not this machine's, or the port is taken.
    """
    if not 0 <= port <= 65535:
        raise InputError(f'--port {port}: wanted 0 to 65535')
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise InputError(
            f'{host}, port {port}: cannot listen there ({error.strerror}); choose another'
        ) from None


def page_server(blocks: Any, folder: str | os.PathLike, loopback: bool, css: str = '') -> Any:
    """Return the server of a page: a ``uvicorn.Server``, to be run with the socket of :func:`listen`."""
    import gradio as gr
    import uvicorn
    from fastapi import FastAPI

    app = gr.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        blocks,
        path='/',
        css=css,
        theme=gr.themes.Default(font=['system-ui', 'sans-serif'], font_mono=['monospace']),
        max_file_size=MAX_BYTES,
        footer_links=[],
        show_error=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
    )
    blocks.has_launched = True  # mounted pages are spared Gradio's own check of paths otherwise
    wall = Wall(app, folder, loopback)
    server = uvicorn.Server(uvicorn.Config(wall, log_level='warning', timeout_graceful_shutdown=1))
    logging.getLogger('uvicorn.error').addFilter(_is_news)
    return server


def _is_news(record: logging.LogRecord) -> bool:
    """Tell a failure from the open pages that the end of the server cuts off."""
    kind = record.exc_info[0] if record.exc_info else None
    cut = kind is not None and issubclass(kind, asyncio.CancelledError)
    return not cut and 'graceful shutdown' not in record.getMessage()
