"""The OHIF viewer beside a PACS: its built pages from a folder, DICOMweb passed through."""

import contextlib
import http.client
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.orthanc import Orthanc
from tests.support.senders import HOST

VARIABLE = "NEUROSONO_OHIF"
_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".json": "application/json",
}
# without a graphics card it draws by the processor all the same (SwiftShader); its other way of
# doing so, `useCPURendering`, leaves out what a report marks
CONFIG = """window.config = {
  routerBasename: "/", extensions: [], modes: [], showStudyList: true, useCPURendering: false,
  showWarningMessageForCrossOrigin: false, showCPUFallbackMessage: false,
  showLoadingIndicator: true, investigationalUseDialog: { option: "never" },
  defaultDataSourceName: "dicomweb",
  dataSources: [{
    namespace: "@ohif/extension-default.dataSourcesModule.dicomweb", sourceName: "dicomweb",
    configuration: {
      friendlyName: "test", name: "test", wadoUriRoot: "/wado",
      qidoRoot: location.origin + "/dicom-web", wadoRoot: location.origin + "/dicom-web",
      qidoSupportsIncludeField: false, imageRendering: "wadors", thumbnailRendering: "wadors",
      enableStudyLazyLoad: true, supportsFuzzyMatching: false, supportsWildcard: true,
      omitQuotationForMultipartRequest: true, singlepart: "bulkdata,video",
    },
  }],
};"""


@contextlib.contextmanager
def serving_ohif(orthanc: Orthanc) -> Iterator[str]:
    """Serve the viewer until the block ends; yields its address. Skips where it is not at hand."""
    folder = Path(os.environ.get(VARIABLE, "absent"))
    if not (folder / "index.html").is_file():
        pytest.skip(f"no OHIF viewer: `npm pack @ohif/app`, unpack, {VARIABLE}=…/package/dist")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path.startswith("/dicom-web/"):
                self._pass_on()
            elif path == "/app-config.js":
                self._give(200, "text/javascript", CONFIG.encode())
            else:
                file = folder / path.lstrip("/")
                file = file if file.is_file() else folder / "index.html"
                kind = _TYPES.get(file.suffix, "application/octet-stream")
                self._give(200, kind, file.read_bytes())

        def _pass_on(self) -> None:
            connection = http.client.HTTPConnection(HOST, orthanc.http_port, timeout=30)
            headers = {"Accept": self.headers.get("Accept", "*/*")}
            connection.request("GET", self.path, headers=headers)
            answer = connection.getresponse()
            self._give(answer.status, answer.headers["Content-Type"] or "", answer.read())
            connection.close()

        def _give(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer((HOST, 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
