"""A chat completions server that fails on demand."""

import base64
import json
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

from mmslg.captions.schema import StructuredCaption

STEP = 10
"""Brightness between the visible images of two pairs."""

SILENCE = 3.0
"""Seconds before a silent server closes the connection."""


def caption_of(number):
    return StructuredCaption('clear daylight', 'highway', f'{number} vehicles', 'low thermal contrast')


def completion(text):
    return json.dumps(dict(choices=[dict(index=0, message=dict(role='assistant', content=text))]))


class FaultyServer(ThreadingHTTPServer):
    """Knows a pair by the brightness of its visible image, and fails as the script of the pair says."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, script, pause=0.0):
        super().__init__(('127.0.0.1', 0), Handler)
        self.script, self.pause = {number: list(faults) for number, faults in script.items()}, pause
        self.requests, self.times = defaultdict(list), defaultdict(list)
        self.lock, self.now, self.most = threading.Lock(), 0, 0
        self.url = f'http://127.0.0.1:{self.server_address[1]}/v1'

    def handle_error(self, request, client_address):
        pass  # clients that gave up


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        parts = body['messages'][0]['content']
        urls = [part['image_url']['url'] for part in parts if part['type'] == 'image_url']
        images = [cv2.imdecode(np.frombuffer(base64.b64decode(u.split(',')[1]), np.uint8), 1) for u in urls]
        assert len(images) == 2 and abs(images[1].mean() - 250) < 3
        number = round(images[0].mean() / STEP)
        server = self.server
        with server.lock:
            server.requests[number].append((self.headers, body))
            server.times[number].append(time.monotonic())
            fault = server.script[number].pop(0) if server.script.get(number) else 'ok'
            server.now += 1
            server.most = max(server.most, server.now)
        time.sleep(server.pause)
        try:
            self.fail(fault, json.dumps(caption_of(number).to_dict()))
        finally:
            with server.lock:
                server.now -= 1

    def fail(self, fault, answer):
        if isinstance(fault, int):
            headers = {'Retry-After': '1'} if fault == 429 else {}
            return self.reply(json.dumps(dict(error=dict(message='no'))), fault, **headers)
        if fault == 'silent':
            return time.sleep(SILENCE)
        if fault == 'closed':
            self.close_connection = True
            return None
        if fault == 'torn':  # the connection breaks in the middle of the body
            body = completion(answer).encode()
            self.send_response(200)
            self.send_header('Content-Type', 'application/json')
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body[:40])
            self.close_connection = True
            return None
        answers = dict(
            ok=completion(answer),
            html='<html>Bad gateway</html>',
            empty='',
            shape='{"choices": []}',
            null=completion(None),
            half=completion(answer[:50]),
            prose=completion(f'Sure! {answer}'),
            markup=completion(answer.replace('highway', '<b>highway</b>')),
            script=completion(answer.replace('highway', '<script>alert(1)</script>')),
        )
        return self.reply(answers[fault], 200)

    def reply(self, text, status, **headers):
        body = text.encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(script, pause=0.0):
    server = FaultyServer(script, pause)
    thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.02))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
