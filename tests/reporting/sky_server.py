"""An image service on this machine that answers as hips2fits does, and faults on demand."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS


@dataclass
class SkyServer:
    """What was asked; `answers` holds bodies or statuses for the next requests instead of an image."""

    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    answers: list[bytes | int] = field(default_factory=list)
    star: tuple[float, float] = (0.0, 0.0)
    """ICRS position of the one star of this sky, degrees."""


def image(asked: dict[str, str], star: tuple[float, float]) -> bytes:
    """A FITS image in the tangent projection, as asked, with one star."""
    n, fov = int(asked["width"]), float(asked["fov"])
    world = WCS(naxis=2)
    world.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    world.wcs.crval = [float(asked["ra"]), float(asked["dec"])]
    world.wcs.crpix = [(n + 1) / 2] * 2
    world.wcs.cdelt = [-fov / n, fov / n]
    data = np.random.default_rng(1).normal(100, 1, (n, n)).astype(np.float32)
    x, y = (round(float(v)) for v in world.wcs_world2pix(*star, 0))
    data[y - 2 : y + 3, x - 2 : x + 3] = 5000
    out = io.BytesIO()
    fits.PrimaryHDU(data, world.to_header()).writeto(out)
    return out.getvalue()


@contextmanager
def sky_server(star: tuple[float, float]) -> Iterator[SkyServer]:
    """The service, on loopback."""
    served = SkyServer(star=star)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_arguments) -> None:
            pass

        def do_GET(self) -> None:
            asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            served.asked.append(asked)
            answer = served.answers.pop(0) if served.answers else image(asked, served.star)
            if isinstance(answer, int):
                self.send_response(answer)
                answer = b""
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}/hips2fits"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
