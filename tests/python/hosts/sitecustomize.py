"""Redirects requests for www.openhumans.org to the sandbox where open-humans-api has no setting for it.

Python imports this by itself at its start, because the folder is in PYTHONPATH. The packages are
as they come from PyPI; only the library that carries their requests is told another way.

open-humans-api 0.2.9 heeds OHAPI_OH_BASE_URL everywhere but in two places:

- ohapi/projects.py asks https://www.openhumans.org/api/direct-sharing/project/members/
- ohapi/public.py asks below https://www.openhumans.org/api/public-data/

Just these are rewritten. Any other request that would leave this machine is an error, so the
check cannot pass by asking the real server.
"""

import os
from urllib.parse import urlsplit

import requests

HARD_CODED = (
    "/api/direct-sharing/project/members/",
    "/api/public-data/",
)


class Loopback(requests.adapters.HTTPAdapter):
    """Sends requests only to this machine."""

    def send(self, request, **options):
        url = urlsplit(request.url)
        if url.hostname == "www.openhumans.org" and url.path.startswith(HARD_CODED):
            sandbox = urlsplit(os.environ["OHAPI_OH_BASE_URL"])
            request = request.copy()
            request.url = url._replace(scheme=sandbox.scheme, netloc=sandbox.netloc).geturl()
        elif url.hostname not in ("127.0.0.1", "localhost"):
            raise AssertionError(f"that would leave this machine: {url.hostname}{url.path}")
        # Requests to this machine must not use a proxy of the environment.
        options["proxies"] = {}
        return super().send(request, **options)


_set_up = requests.Session.__init__


def _set_up_on_loopback(session):
    _set_up(session)
    session.mount("https://", Loopback())
    session.mount("http://", Loopback())


requests.Session.__init__ = _set_up_on_loopback
