"""The bundled sample origin: one page and its assets, as a small web application would serve them.

The assets come from Debian's libjs packages, copied once at start into the directory SAMPLE_FILES names:
- with a hash of their content in the name: may be kept for a year, they never change;
- under a plain name: may be kept for a minute.
Run by deploy/up with one process and several threads (gunicorn --preload --worker-class gthread), so that the
count of answered requests is one number.
"""
import hashlib
import itertools
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from flask import Flask, Response, jsonify, render_template, request, send_from_directory

HERE = Path(__file__).parent
DEBIAN = Path("/usr/share")
HASHED = (
    HERE / "page/page.css",
    HERE / "page/page.js",
    DEBIAN / "javascript/bootstrap5/css/bootstrap.min.css",
    DEBIAN / "javascript/bootstrap5/js/bootstrap.bundle.min.js",
    DEBIAN / "javascript/jquery/jquery.min.js",
    DEBIAN / "javascript/chart.js/chart.min.js",
    DEBIAN / "javascript/leaflet/leaflet.min.js",
    DEBIAN / "fonts-font-awesome/fonts/fontawesome-webfont.woff2",
)
PLAIN = (
    HERE / "page/favicon.svg",
    DEBIAN / "javascript/jquery/jquery.js",
    DEBIAN / "javascript/leaflet/leaflet.css",
    DEBIAN / "javascript/leaflet/images/layers.png",
    DEBIAN / "javascript/leaflet/images/marker-icon.png",
    DEBIAN / "fonts-font-awesome/css/font-awesome.css",
)
FOR_A_YEAR = "public, max-age=31536000, immutable"
FOR_A_MINUTE = "public, max-age=60"


class Asset(NamedTuple):
    name: str  # below /static/
    original: str
    size: int
    hashed: bool


def hashed_name(path):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return f"{path.stem}.{digest}{path.suffix}"


def copy_assets(directory):
    """Copies all assets into `directory`; returns them in the order the page lists them."""
    assets = []
    for path, hashed in [(path, True) for path in HASHED] + [(path, False) for path in PLAIN]:
        name = hashed_name(path) if hashed else path.name
        shutil.copy2(path, directory / name)
        assets.append(Asset(name, path.name, path.stat().st_size, hashed))
    return assets


def human_size(size):
    for unit, factor in ("MiB", 1 << 20), ("KiB", 1 << 10):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


def create_app():
    directory = Path(os.environ["SAMPLE_FILES"])
    assets = copy_assets(directory)
    by_name = {asset.name: asset for asset in assets}
    by_original = {asset.original: asset for asset in assets}
    answered = itertools.count(1)
    last_count = 0
    app = Flask(__name__, static_folder=None, template_folder="page")
    app.jinja_env.filters["human_size"] = human_size

    @app.after_request
    def count(response):
        nonlocal last_count
        if request.path != "/origin-requests":
            last_count = next(answered)
        return response

    @app.get("/")
    def page():
        text = render_template("page.html", assets=assets, file=by_original, total=sum(a.size for a in assets))
        response = Response(text, mimetype="text/html")
        response.headers["Cache-Control"] = "public, max-age=10"
        response.add_etag()
        return response.make_conditional(request)

    @app.get("/static/<name>")
    def asset(name):
        response = send_from_directory(directory, name)
        response.headers["Cache-Control"] = FOR_A_YEAR if by_name[name].hashed else FOR_A_MINUTE
        del response.headers["Expires"]
        return response

    @app.get("/favicon.ico")
    def no_favicon():
        return Response(status=404, headers={"Cache-Control": FOR_A_MINUTE})

    @app.get("/origin-requests")
    def origin_requests():
        response = jsonify(answered=last_count)
        response.headers["Cache-Control"] = "no-store"
        return response

    return app
