"""The OHIF viewer beside a PACS: its built pages from a folder, DICOMweb passed through."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.orthanc import Orthanc
from tests.support.senders import HOST
from tests.support.web import Handler, serving

VARIABLE = "NEUROSONO_OHIF"
ROOT = Path(__file__).resolve().parents[2]
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


ISOLATED = {
    "Cross_Origin_Opener_Policy": "same-origin",
    "Cross_Origin_Embedder_Policy": "require-corp",
}
"""Without these a browser gives the viewer no memory that its threads share."""


@contextlib.contextmanager
def serving_ohif(orthanc: Orthanc) -> Iterator[str]:
    """Serve the viewer until the block ends; yields its address. Skips where it is not at hand."""
    folder = Path(os.environ.get(VARIABLE, ROOT / ".ohif"))
    if not (folder / "index.html").is_file():
        pytest.skip(f"no OHIF viewer in {folder.name}: scripts/install-ohif, or {VARIABLE}=FOLDER")

    class Viewer(Handler):
        def answer(self) -> None:
            path = urlsplit(self.path).path
            if path.startswith("/dicom-web/"):
                self.pass_on(orthanc, **ISOLATED)
            elif path == "/app-config.js":
                self.give(200, "text/javascript", CONFIG.encode(), **ISOLATED)
            else:
                file = folder / path.lstrip("/")
                file = file if file.is_file() else folder / "index.html"
                kind = _TYPES.get(file.suffix, "application/octet-stream")
                self.give(200, kind, file.read_bytes(), **ISOLATED)

    with serving(Viewer) as port:
        yield f"http://{HOST}:{port}"
