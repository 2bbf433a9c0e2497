import io
import logging
import sys
import threading
from types import ModuleType
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, make_server

import requests

from sandbox import query
from steps import same, within

ERIN, FRANK = "03300003", "03300004"
ABOUT = {"tags": ["diary"], "description": "A diary"}


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


class DjangoApp:
    """django-open-humans 0.2.0 in a small application"""

    def __init__(self, sandbox, folder, more_databases):
        self.sandbox = sandbox
        folder.mkdir()
        # The application's name contains its port, so the port is chosen first.
        self.server = make_server("127.0.0.1", 0, None, handler_class=Quiet)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        databases = {"default": sqlite(folder / "app.sqlite"), **more_databases}
        self.server.set_app(make_app(sandbox, self.base, databases))
        from openhumans.models import OpenHumansMember

        self.members = OpenHumansMember.objects
        self.auth_url = OpenHumansMember.get_auth_url
        sandbox.post(
            "/sandbox/settings",
            redirect_uri=f"{self.base}/openhumans/complete",
            webhook_url=f"{self.base}/openhumans/deauth",
        )
        for member, name in ((ERIN, "erin"), (FRANK, "frank")):
            sandbox.post("/sandbox/members", id=member, username=name)

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def _log_in(self, member):
        """The member's browser, logged in."""
        browser = requests.Session()
        answer = browser.get(self.sandbox.decide(self.auth_url(), member))
        assert answer.ok, f"the app answered {answer.status_code}"
        return browser, answer

    def _who(self, browser):
        return browser.get(f"{self.base}/").text

    def log_in(self):
        """a member logs in and has a session"""
        url = self.auth_url()
        same("the server", urlsplit(url).netloc, urlsplit(self.sandbox.base).netloc)
        same("the way back", query(url)["redirect_uri"], f"{self.base}/openhumans/complete")
        self.browser, answer = self._log_in(ERIN)
        same("where it ends", (answer.url, answer.text), (f"{self.base}/", ERIN))
        same("the next request", self._who(self.browser), ERIN)
        same("somebody else", self._who(requests.Session()), "nobody")

    def refused_log_in(self):
        """a refused authorization or an invalid code does not log in"""
        back = self.sandbox.decide(self.auth_url(), FRANK, "refuse")
        same("refused", requests.get(back).text, "nobody")
        same("no code", requests.get(f"{self.base}/openhumans/complete?code=x").text, "nobody")
        same("members", self.members.count(), 1)

    def files(self):
        """a member's files are uploaded, listed and deleted"""
        erin = self.members.get(oh_id=ERIN)
        erin.upload(io.BytesIO(b"day one"), "diary.txt", ABOUT)
        erin.upload(io.BytesIO(b"2"), "two.txt", ABOUT)
        same("listed", [file["basename"] for file in erin.list_files()], ["diary.txt", "two.txt"])
        page = self.browser.get(f"{self.base}/openhumans/list")
        same("on the page", page.text.split(), ["diary.txt", "two.txt"])
        erin.delete_single_file(file_basename="two.txt")
        same("one deleted", self.sandbox.names(ERIN), ["diary.txt"])
        erin.delete_all_files()
        same("all deleted", self.sandbox.names(ERIN), [])

    def message(self):
        """a member is sent a message"""
        self.members.get(oh_id=ERIN).message("Hello", "How are you?")
        expected = {"subject": "Hello", "message": "How are you?", "to": [ERIN]}
        same("the message", self.sandbox.last_message(), expected)

    def refresh(self):
        """an expired token is refreshed and stored"""
        from django.utils import timezone

        self.sandbox.post(f"/sandbox/members/{ERIN}/expire-tokens")
        self.members.filter(oh_id=ERIN).update(token_expires=timezone.now())
        erin = self.members.get(oh_id=ERIN)
        old = erin.access_token
        same("with the new token", erin.list_files(), [])
        kept = self.members.get(oh_id=ERIN)
        assert kept.access_token not in ("", old), "no new token is kept"
        assert kept.token_expires > timezone.now(), "the new token is kept as an old one"

    def forged_webhook(self):
        """a webhook without a valid signature changes nothing"""
        body = f'{{"project_member_id": "{ERIN}", "erasure_requested": true}}'
        url = f"{self.base}/openhumans/deauth"
        name = "X-OpenHumans-Webhooks-Signature"
        same("unsigned", requests.post(url, data=body).status_code, 403)
        wrong = requests.post(url, data=body, headers={name: "sha1=" + 40 * "0"})
        same("wrongly signed", wrong.status_code, 403)
        assert self.members.filter(oh_id=ERIN).exists(), "the member is gone"

    def erasure(self):
        """a member leaves with an erasure request: the webhook is verified and the member deleted"""
        (delivery,) = self.sandbox.leave(ERIN, erasure=True)
        same("the webhook", (delivery["signed"], delivery["status"]), (True, 200))
        within('"erasure_requested": true', delivery["body"])
        assert not self.members.filter(oh_id=ERIN).exists(), "the member is still there"

    def leaving(self):
        """a member leaves without an erasure request: the webhook is verified and the member marked"""
        self._log_in(FRANK)
        (delivery,) = self.sandbox.leave(FRANK, erasure=False)
        same("the webhook", (delivery["signed"], delivery["status"]), (True, 200))
        assert self.members.get(oh_id=FRANK).oh_deauth, "the member is not marked"

    def rejoining(self):
        """a member who returns after erasure is a new member"""
        browser, _ = self._log_in(ERIN)
        same("who it is", self._who(browser), ERIN)

    def removal(self):
        """the application removes a member and receives its own webhook"""
        self.members.get(oh_id=ERIN).deauth()
        assert self.members.get(oh_id=ERIN).oh_deauth, "the member is not marked"
        membership = {
            member["project_member_id"]: member["membership"]
            for member in self.sandbox.get("/sandbox/members")
        }
        same("at Open Humans", membership[ERIN], "left")

    def wrong_secret(self):
        """a webhook with another secret is rejected twice, the second time unsigned"""
        self._log_in(FRANK)
        self.sandbox.post("/sandbox/settings", webhook_secret="another-secret-than-the-app's")
        deliveries = self.sandbox.leave(FRANK, erasure=True)
        tried = [(delivery["signed"], delivery["status"]) for delivery in deliveries]
        same("the webhooks", tried, [(True, 403), (False, 403)])
        assert self.members.filter(oh_id=FRANK).exists(), "the member is gone"
        self.sandbox.post("/sandbox/settings", webhook_secret=self.sandbox.webhook_secret)


def sqlite(path):
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": path}


def make_app(sandbox, base, databases):
    """A small Django application, set up as in the package's documentation."""
    from django.conf import settings

    settings.configure(
        SECRET_KEY="only for this check",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF="app_urls",
        USE_TZ=True,
        DATABASES=databases,
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "openhumans",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {"loaders": [("django.template.loaders.locmem.Loader", PAGES)]},
            }
        ],
        LOGIN_REDIRECT_URL="/",
        LOGOUT_REDIRECT_URL="/",
        LOGGING_CONFIG=None,
        OPENHUMANS_OH_BASE_URL=sandbox.base,
        OPENHUMANS_APP_BASE_URL=base,
        OPENHUMANS_CLIENT_ID=sandbox.client_id,
        OPENHUMANS_CLIENT_SECRET=sandbox.client_secret,
        OPENHUMANS_WEBHOOK_SECRET=sandbox.webhook_secret,
    )
    import django

    django.setup()
    # The tests provoke these errors.
    logging.getLogger("django.request").setLevel(logging.ERROR)
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import include, path

    def index(request):
        known = request.user.is_authenticated
        return HttpResponse(request.user.openhumansmember.oh_id if known else "nobody")

    urls = ModuleType("app_urls")
    urls.urlpatterns = [
        path("", index, name="index"),
        path("openhumans/", include("openhumans.urls")),
    ]
    sys.modules["app_urls"] = urls
    for database in databases:
        call_command("migrate", database=database, verbosity=0)
    return get_wsgi_application()


# The page that the application must provide.
PAGES = {"main/list.html": "{% for file in files %}{{ file.basename }}\n{% endfor %}"}
