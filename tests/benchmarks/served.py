"""A container that serves after a while.

python served.py SECONDS
"""

import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer


class Ready(BaseHTTPRequestHandler):
    """Is well."""

    def do_GET(self) -> None:
        """Answer /ping."""
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


time.sleep(float(sys.argv[1]))
HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Ready).serve_forever()
