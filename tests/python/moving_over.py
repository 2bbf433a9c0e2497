import os
import re
import subprocess
from datetime import timedelta
from urllib.parse import urlsplit

from steps import same, within

MEMBERS = 1000
KEYS = "2026:tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo="
APP = {"OPENHUMANS_APP_BASE_URL": "http://localhost:8000"}


class MovingOver:
    """from a database of django-open-humans 0.2.0 to one of oh-sqlx, with `oh import-django`"""

    def __init__(self, sandbox, folder, database):
        """`database` is Django's name of one, "default" for the SQLite file or "postgres"."""
        from django.db import connections

        self.sandbox = sandbox
        folder.mkdir()
        settings = connections[database].settings_dict
        self.database = database
        if database == "postgres":
            # The new app's tables lie beside the old one's, as they would.
            self.django = self.store = postgres_url(settings["NAME"])
        else:
            self.django, self.store = str(settings["NAME"]), str(folder / "app.sqlite")

    def _program(self, name, *args, keys=None):
        env = {**os.environ, **APP}
        if keys:
            env["OPENHUMANS_STORE_KEYS"] = keys
        done = subprocess.run(
            [f"target/debug/{name}", *args], env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{name} ended with {done.returncode}: {done.stderr}"
        return done.stdout

    def _import(self, *args, keys=None):
        """How many were imported, given newer tokens, kept, had left, and have left since."""
        wanted = ["import-django", "--from", self.django, "--to", self.store]
        said = self._program("oh", *wanted, *args, keys=keys)
        return [int(count) for count in re.findall(r"^\d+", said, re.MULTILINE)]

    def members(self):
        """the package keeps 1,000 members, some with expired tokens, some who have left"""
        from django.db import transaction
        from django.utils import timezone

        kept = self._kept()
        kept.all().delete()
        self.ids = sorted(self.sandbox.post("/sandbox/members", count=MEMBERS))
        same("members", len(set(self.ids)), MEMBERS)
        with transaction.atomic(using=self.database):
            for id in self.ids:
                self._keep(id)
        self.left, self.expired = self.ids[:10], self.ids[10:60]
        for id in self.expired:
            self.sandbox.post(f"/sandbox/members/{id}/expire-tokens")
        hour_ago = timezone.now() - timedelta(hours=1)
        kept.filter(oh_id__in=self.expired).update(token_expires=hour_ago)
        kept.filter(oh_id__in=self.left).update(oh_deauth=True)
        same("kept", kept.count(), MEMBERS)

    def _kept(self):
        from openhumans.models import OpenHumansMember

        return OpenHumansMember.objects.using(self.database)

    def _keep(self, id):
        """As the package does when somebody logs in, in whichever database."""
        from django.contrib.auth import get_user_model
        from openhumans.models import OpenHumansMember

        user = get_user_model()(username=f"{id}_openhumans")
        user.save(using=self.database)
        OpenHumansMember.create(id, self.sandbox.tokens(id), user).save(using=self.database)

    def dry_run(self):
        """a dry run says what would come over, and makes no tables"""
        same("would be", self._import("--dry-run", keys=KEYS), [MEMBERS - 10, 0, 0, 10, 0])

    def come_over(self):
        """all who have not left come over, sealed"""
        same("imported", self._import(keys=KEYS), [MEMBERS - 10, 0, 0, 10, 0])

    def again(self):
        """a second time, nothing is left to do"""
        same("again", self._import(keys=KEYS), [0, 0, MEMBERS - 10, 10, 0])

    def refreshed_meanwhile(self):
        """who was refreshed by the old app since comes over anew"""
        late = self.ids[-1]
        old = self._kept().get(oh_id=late)
        self.sandbox.post(f"/sandbox/members/{late}/expire-tokens")
        tokens = self.sandbox.tokens(late)
        # Written to the second, so that it has to be a later one.
        old.access_token, old.refresh_token = tokens["access_token"], tokens["refresh_token"]
        old.token_expires += timedelta(seconds=1)
        old.save(using=self.database)
        same("renewed", self._import(keys=KEYS), [0, 1, MEMBERS - 11, 10, 0])

    def next_call(self):
        """each member's next call works, refreshed where it has to be"""
        before = self.sandbox.get("/sandbox/stats")["tokens"]["total"]
        said = self._program("next-call", self.store, keys=KEYS)
        within(f"{MEMBERS - 10} members, {MEMBERS - 10} answered rightly", said)
        after = self.sandbox.get("/sandbox/stats")["tokens"]["total"]
        same("refreshed", after - before, len(self.expired))

    def newer_here(self):
        """tokens that were refreshed here since are left alone"""
        same("after refreshes", self._import(keys=KEYS), [0, 0, MEMBERS - 10, 10, 0])
        said = self._program("next-call", self.store, keys=KEYS)
        within(f"{MEMBERS - 10} members, {MEMBERS - 10} answered rightly", said)


def postgres_url(name):
    """The address of a database on the server that DATABASE_URL names."""
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()


def postgres_settings():
    """A database of Django's on the server that DATABASE_URL names, made for this check."""
    import psycopg

    url = os.environ.get("DATABASE_URL")
    if not url:
        return None
    name = f"oh_moving_over_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "HOST": parts.hostname,
        "PORT": parts.port or 5432,
        "USER": parts.username or "",
        "PASSWORD": parts.password or "",
    }


def drop(settings):
    """Takes it away again."""
    import psycopg
    from django.db import connections

    connections["postgres"].close()
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(f"DROP DATABASE {settings['NAME']} WITH (FORCE)")
