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
        """`database` is "default" for the SQLite file or "postgres"."""
        from django.db import connections

        self.sandbox = sandbox
        folder.mkdir()
        settings = connections[database].settings_dict
        self.database = database
        if database == "postgres":
            # The new tables are in the database of the old application.
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
        """The numbers of imported, updated, unchanged, former and newly departed members."""
        expected = ["import-django", "--from", self.django, "--to", self.store]
        output = self._program("oh", *expected, *args, keys=keys)
        return [int(count) for count in re.findall(r"^\d+", output, re.MULTILINE)]

    def members(self):
        """the package has 1,000 members, including expired tokens and former members"""
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
        """Creates a member as the package does at a login."""
        from django.contrib.auth import get_user_model
        from openhumans.models import OpenHumansMember

        user = get_user_model()(username=f"{id}_openhumans")
        user.save(using=self.database)
        OpenHumansMember.create(id, self.sandbox.tokens(id), user).save(using=self.database)

    def dry_run(self):
        """a dry run reports the import and creates no tables"""
        same("would be", self._import("--dry-run", keys=KEYS), [MEMBERS - 10, 0, 0, 10, 0])

    def come_over(self):
        """all current members are imported with encrypted tokens"""
        same("imported", self._import(keys=KEYS), [MEMBERS - 10, 0, 0, 10, 0])

    def again(self):
        """a second import changes nothing"""
        same("again", self._import(keys=KEYS), [0, 0, MEMBERS - 10, 10, 0])

    def refreshed_meanwhile(self):
        """tokens that the old application refreshed are imported again"""
        late = self.ids[-1]
        old = self._kept().get(oh_id=late)
        self.sandbox.post(f"/sandbox/members/{late}/expire-tokens")
        tokens = self.sandbox.tokens(late)
        # The time is stored in seconds and must be later.
        old.access_token, old.refresh_token = tokens["access_token"], tokens["refresh_token"]
        old.token_expires += timedelta(seconds=1)
        old.save(using=self.database)
        same("renewed", self._import(keys=KEYS), [0, 1, MEMBERS - 11, 10, 0])

    def next_call(self):
        """each member's next call works, after a refresh if necessary"""
        before = self.sandbox.get("/sandbox/stats")["tokens"]["total"]
        output = self._program("next-call", self.store, keys=KEYS)
        within(f"{MEMBERS - 10} members, {MEMBERS - 10} answered rightly", output)
        after = self.sandbox.get("/sandbox/stats")["tokens"]["total"]
        same("refreshed", after - before, len(self.expired))

    def newer_here(self):
        """tokens that the new application refreshed are not overwritten"""
        same("after refreshes", self._import(keys=KEYS), [0, 0, MEMBERS - 10, 10, 0])
        output = self._program("next-call", self.store, keys=KEYS)
        within(f"{MEMBERS - 10} members, {MEMBERS - 10} answered rightly", output)


def postgres_url(name):
    """Returns the URL of a database on the server of DATABASE_URL."""
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()


def postgres_settings():
    """A temporary Django database on the server of DATABASE_URL."""
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
    """Drops the database."""
    import psycopg
    from django.db import connections

    connections["postgres"].close()
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(f"DROP DATABASE {settings['NAME']} WITH (FORCE)")
