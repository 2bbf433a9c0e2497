"""A client of the sandbox: actions of members in their browsers, and recorded requests."""

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
        """Submits the member's decision on the authorization page. Returns the redirect URL."""
        url = f"{authorization_url}&sandbox_member={member}&sandbox_decision={decision}"
        answer = requests.get(url, allow_redirects=False)
        assert answer.status_code == 302, f"no way back: {answer.status_code} {answer.text}"
        return answer.headers["Location"]

    def tokens(self, member):
        """Returns a new pair of tokens. The member joins if necessary."""
        return self.post(f"/sandbox/members/{member}/tokens")

    def share(self, member, basename, content):
        """Adds a file of another source that the member shares with the project."""
        path = f"/sandbox/members/{member}/files"
        return self.post(path, basename=basename, content=content, shared="true")["id"]

    def leave(self, member, erasure):
        """Removes the member. Returns the webhook requests."""
        path = f"/sandbox/members/{member}/leave"
        return self.post(path, erasure="true" if erasure else "false")["deliveries"]

    def files(self, member):
        """Returns the member's files as the API lists them."""
        url = self.url("/api/direct-sharing/project/exchange-member/")
        asked = {"access_token": self.master_token, "project_member_id": member, "limit": 1000}
        answer = requests.get(url, params=asked)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        return answer.json()["data"]

    def names(self, member):
        """Returns the sorted names of the member's files."""
        return sorted(file["basename"] for file in self.files(member))

    def last_message(self):
        return self.get("/sandbox/messages")[-1]


def query(url):
    """Returns the query parameters of a URL."""
    return dict(parse_qsl(urlsplit(url).query))


def write(folder, **contents):
    """Writes files into a new folder; `a_json="…"` becomes `a.json`. Returns the folder."""
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder


def read(folder):
    """Returns the relative paths and contents of all files below a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in paths}
