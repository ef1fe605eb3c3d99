"""A PHOENIX library of a few small files, and a web server of it that misbehaves as it is told."""

import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from astropy.io import fits

from skphx.datasets import make_stellar_grid
from skphx.datasets._phoenix_layout import WAVELENGTH_FILE, phoenix_path

HTML = b"<!DOCTYPE html><html><body>Service temporarily moved</body></html>"
WAVELENGTH = np.arange(8480.0, 8560.0, 0.05)
NODES = {"teff": (5000, 5100, 5200), "logg": (4.0, 4.5), "feh": (-0.5, 0.0)}


def write_library(folder, *, wavelength=WAVELENGTH, alpha=0.0, n_lines=8, **nodes):
    """Files of a generated grid in the library's layout; return the grid."""
    grid = make_stellar_grid(
        **{**NODES, **nodes}, wavelength=wavelength, n_lines=n_lines, random_state=1
    )
    folder.mkdir(parents=True, exist_ok=True)
    fits.PrimaryHDU(wavelength).writeto(folder / WAVELENGTH_FILE, overwrite=True)
    for (teff, logg, feh), flux in zip(grid.parameters, grid.spectra, strict=True):
        path = folder / phoenix_path({"teff": teff, "logg": logg, "feh": feh, "alpha": alpha})
        path.parent.mkdir(parents=True, exist_ok=True)
        write_spectrum(path, flux, teff, logg, feh, alpha)
    return grid


def write_spectrum(path, flux, teff, logg, feh, alpha=0.0):
    hdu = fits.PrimaryHDU(flux.astype(np.float32))
    hdu.header.update({"PHXTEFF": teff, "PHXLOGG": logg, "PHXM_H": feh, "PHXALPHA": alpha})
    hdu.writeto(path, overwrite=True)


class Server:
    """What the server was asked, and how it misbehaves.

    `troubles` holds, for a part of a path, a list of troubles: each answer about such a file
    takes the first one off, and an empty list is a healthy answer. "always" as the last entry
    keeps the one before it.
    """

    def __init__(self, folder):
        self.folder, self.troubles, self.requests, self.delay = Path(folder), {}, [], 0.0
        self.url = None

    def next_trouble(self, path):
        for part, queue in self.troubles.items():
            if part in path and queue:
                return queue[0] if queue[1:2] == ["always"] else queue.pop(0)
        return None

    def asked_for(self, part):
        return [request for request in self.requests if part in request[0]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        from urllib.parse import unquote

        server, path = self.server.library, unquote(self.path)
        server.requests.append((path, self.headers.get("Range")))
        time.sleep(server.delay)
        file = server.folder / path.lstrip("/")
        trouble = server.next_trouble(path)
        if trouble in (404, 500, 503) or not file.is_file():
            self.send_response(trouble or 404)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", str(len(HTML)))
            self.end_headers()
            self.wfile.write(HTML)
            return
        content = HTML if trouble == "html" else file.read_bytes()
        if trouble == "zeros":
            content = content[:2880] + bytes(len(content) - 2880)
        if trouble == "short":
            content = content[: len(content) // 2]
        if trouble == "redirect":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first, tag = 0, f'"{file.stat().st_mtime_ns}"'
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and self.headers.get("If-Range") == tag and trouble != "no range":
            first = int(wanted[1])
            if first >= len(content):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            span = f"bytes {first}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", span)
        else:
            self.send_response(200)
        body = content[first:]
        if trouble == "unannounced":
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(body) + 1000 * (trouble == "long")))
        self.send_header("ETag", tag)
        self.end_headers()
        if trouble == "cut":
            body = body[: len(body) // 2]
        self.wfile.write(body)
        self.close_connection = self.close_connection or trouble in ("cut", "long", "unannounced")


@contextmanager
def serve(folder):
    """A running server of a folder, on this machine only; stopped in the end."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as httpd:
        httpd.daemon_threads = True
        httpd.library = Server(folder)
        httpd.library.url = f"http://127.0.0.1:{httpd.server_port}"
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield httpd.library
        finally:
            httpd.shutdown()
            thread.join()
