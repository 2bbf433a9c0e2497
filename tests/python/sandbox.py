"""The sandbox from outside: what its members do in their browsers, and what it noted."""

import os
from urllib.parse import parse_qsl, urljoin, urlsplit

import requests

REDIRECT_URI = "http://localhost:8000/openhumans/complete"
ALICE, BOB, NAMELESS = "01026778", "00169953", "15546131"


class Sandbox:
    def __init__(self):
        self.base = os.environ["OPENHUMANS_OH_BASE_URL"]
        self.client_id = os.environ["OPENHUMANS_CLIENT_ID"]
        self.client_secret = os.environ["OPENHUMANS_CLIENT_SECRET"]
        self.master_token = os.environ["OPENHUMANS_MASTER_TOKEN"]
        self.webhook_secret = os.environ["OPENHUMANS_WEBHOOK_SECRET"]

    def url(self, path):
        return urljoin(self.base, path)

    def get(self, path):
        answer = requests.get(self.url(path))
        assert answer.ok, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def post(self, path, **fields):
        answer = requests.post(self.url(path), data=fields)
        assert answer.ok, f"POST {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def decide(self, authorization_url, member, decision="allow"):
        """The member decides on the page behind the URL. Returns where they are sent back to."""
        url = f"{authorization_url}&sandbox_member={member}&sandbox_decision={decision}"
        answer = requests.get(url, allow_redirects=False)
        assert answer.status_code == 302, f"no way back: {answer.status_code} {answer.text}"
        return answer.headers["Location"]

    def tokens(self, member):
        """A fresh pair of tokens; the member joins if they have not."""
        return self.post(f"/sandbox/members/{member}/tokens")

    def share(self, member, basename, content):
        """The member has a file from another source, which they share with the project."""
        path = f"/sandbox/members/{member}/files"
        return self.post(path, basename=basename, content=content, shared="true")["id"]

    def leave(self, member, erasure):
        """The member leaves. Returns the webhook requests that were made."""
        path = f"/sandbox/members/{member}/leave"
        return self.post(path, erasure="true" if erasure else "false")["deliveries"]

    def files(self, member):
        """The member's files, as the API lists them."""
        url = self.url("/api/direct-sharing/project/exchange-member/")
        asked = {"access_token": self.master_token, "project_member_id": member, "limit": 1000}
        answer = requests.get(url, params=asked)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        return answer.json()["data"]

    def names(self, member):
        """The names of the member's files, sorted."""
        return sorted(file["basename"] for file in self.files(member))

    def last_message(self):
        return self.get("/sandbox/messages")[-1]


def query(url):
    """The parameters in a URL."""
    return dict(parse_qsl(urlsplit(url).query))


def write(folder, **contents):
    """Writes files into a new folder; `a_json="…"` becomes `a.json`. Returns the folder."""
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder


def read(folder):
    """All files below a folder: their paths in it, and their contents."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in paths}
