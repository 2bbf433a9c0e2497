import ast
import csv
import subprocess
import sys
from pathlib import Path

import ohapi

from sandbox import REDIRECT_URI, query, read, write
from steps import same, within

CAROL, DAN = "03300001", "03300002"


class CommandLine:
    """open-humans-api 0.2.9, its command-line tools"""

    def __init__(self, sandbox, folder):
        self.sandbox = sandbox
        self.folder = folder
        self.master = ["-T", sandbox.master_token]
        self.member = None
        folder.mkdir()
        for member, name in ((CAROL, "carol"), (DAN, "dan")):
            sandbox.post("/sandbox/members", id=member, username=name)

    def _run(self, tool, *args, fails=False):
        """Runs an installed tool, and returns its output."""
        done = subprocess.run(
            [Path(sys.executable).with_name(tool), *map(str, args)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        output = f"{tool} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        assert (done.returncode != 0) == fails, output
        return done.stdout + done.stderr if fails else done.stdout

    def oauth2_url(self):
        """ohproj-oauth2-url prints the authorization URL"""
        output = self._run("ohproj-oauth2-url", "-c", self.sandbox.client_id, "-r", REDIRECT_URI)
        expected = ohapi.api.oauth2_auth_url(REDIRECT_URI, self.sandbox.client_id)
        same("the lines", output.split("\n"), ["The requested URL is : ", expected, ""])
        self.code = query(self.sandbox.decide(expected, CAROL))["code"]
        self.sandbox.tokens(DAN)

    def oauth2_token_exchange(self):
        """ohproj-oauth2-token-exchange exchanges a code and a refresh token"""
        project = ["-cid", self.sandbox.client_id, "-cs", self.sandbox.client_secret]
        tool = ["ohproj-oauth2-token-exchange", *project, "-re_uri", REDIRECT_URI]
        first = ast.literal_eval(self._run(*tool, "--code", self.code))
        same("expires_in", first["expires_in"], 36000)
        second = ast.literal_eval(self._run(*tool, "-rt", first["refresh_token"]))
        assert first["access_token"] != second["access_token"], "the access token is the same"
        self.member = ["-t", second["access_token"]]
        within("invalid_grant", self._run(*tool, "-rt", first["refresh_token"], fails=True))
        within("invalid_grant", self._run(*tool, "--code", self.code, fails=True))

    def upload_metadata(self):
        """ohproj-upload-metadata drafts and reviews a metadata CSV"""
        folder = write(self.folder / "one", diet_csv="food\n", walk_json="{}")
        self.csv = self.folder / "one.csv"
        self._run("ohproj-upload-metadata", "-d", folder, "--create-csv", self.csv)
        rows = sorted(csv.DictReader(self.csv.open()), key=lambda row: row["filename"])
        same("the files", [row["filename"] for row in rows], ["diet.csv", "walk.json"])
        same("the tags", [row["tags"] for row in rows], ["csv", "json"])
        same("md5 of {}", rows[1]["md5"], "99914b932bd37a50b983c5e7c90ae93b")
        review = ["ohproj-upload-metadata", "-d", folder, "--review", self.csv]
        within("reviewed and is valid", self._run(*review))
        (folder / "more.txt").write_text("x")
        within("more.txt", self._run(*review))
        (folder / "more.txt").unlink()

    def upload(self):
        """ohproj-upload uploads a member's files with the member's token"""
        files = ["-d", self.folder / "one", "--metadata-csv", self.csv]
        self._run("ohproj-upload", *files, *self.member)
        listed = {file["basename"]: file["metadata"] for file in self.sandbox.files(CAROL)}
        same("the files", sorted(listed), ["diet.csv", "walk.json"])
        same("the tags", listed["walk.json"]["tags"], ["json"])
        same("the md5", listed["walk.json"]["md5"], "99914b932bd37a50b983c5e7c90ae93b")
        self._run("ohproj-upload", *files, *self.member)
        same("a second time", self.sandbox.names(CAROL), ["diet.csv", "walk.json"])
        both = self._run("ohproj-upload", *files, *self.member, *self.master, fails=True)
        within("Please specify either", both)

    def upload_safe_and_sync(self):
        """ohproj-upload --safe keeps existing files, --sync deletes files that are not in the directory"""
        folder = write(self.folder / "two", diet_csv="another food\n", sleep_txt="8")
        listed = self.folder / "two.csv"
        self._run("ohproj-upload-metadata", "-d", folder, "--create-csv", listed)
        tool = ["ohproj-upload", "-d", folder, "--metadata-csv", listed, *self.master, "-m", CAROL]
        self._run(*tool, "--safe")
        same("safe", self.sandbox.names(CAROL), ["diet.csv", "sleep.txt", "walk.json"])
        self._run(*tool, "--sync")
        same("sync", self.sandbox.names(CAROL), ["diet.csv", "diet.csv", "sleep.txt"])

    def upload_project(self):
        """ohproj-upload uploads a folder for each member with the master token"""
        folder = self.folder / "many"
        write(folder / CAROL, mood_txt="good")
        write(folder / DAN, mood_txt="fair", note_txt="n")
        listed = self.folder / "many.csv"
        self._run("ohproj-upload-metadata", "-d", folder, "--create-csv", listed)
        within("is valid", self._run("ohproj-upload-metadata", "-d", folder, "--review", listed))
        self._run("ohproj-upload", "-d", folder, "--metadata-csv", listed, *self.master)
        carols = ["diet.csv", "diet.csv", "mood.txt", "sleep.txt"]
        same("carol's", self.sandbox.names(CAROL), carols)
        same("dan's", self.sandbox.names(DAN), ["mood.txt", "note.txt"])

    def _downloaded(self, name, *args):
        folder = write(self.folder / name)
        self._run("ohproj-download", "-d", folder, *args)
        return read(folder)

    def download_member(self):
        """ohproj-download downloads a member's shared files or the project's own files"""
        number = self.sandbox.share(CAROL, "steps.json", "[1]")
        shared = self._downloaded("shared", *self.member)
        same("shared", shared, {"direct-sharing-1/steps.json": "[1]"})
        named = self._downloaded("named", *self.member, "--id-filename")
        same("with ids", named, {f"direct-sharing-1/{number}.steps.json": "[1]"})
        own = {"diet.csv": "another food\n", "mood.txt": "good", "sleep.txt": "8"}
        same("own", self._downloaded("own", *self.member, "--project-data"), own)
        by_master = self._downloaded("by-master", *self.master, "-m", CAROL, "--project-data")
        same("with the master token", by_master, own)
        small = self._downloaded("small", *self.member, "--project-data", "--max-size", "4")
        same("the small ones", small, {"mood.txt": "good", "sleep.txt": "8"})

    def download_project(self):
        """ohproj-download downloads the files of all or of some members"""
        members = self.folder / "members.txt"
        members.write_text(f"{CAROL}\n{DAN}\n")
        some = ["--memberlist", members]
        own = self._downloaded("all-own", *self.master, "--project-data", *some)
        expected = {
            f"{CAROL}/diet.csv": "another food\n",
            f"{CAROL}/mood.txt": "good",
            f"{CAROL}/sleep.txt": "8",
            f"{DAN}/mood.txt": "fair",
            f"{DAN}/note.txt": "n",
        }
        same("own", own, expected)
        source = self._downloaded("source", *self.master, "-s", "direct-sharing-1", *some)
        same("of a source", source, {f"{CAROL}/steps.json": "[1]"})
        every = self._downloaded("every", *self.master, "--project-data")
        same("of everybody", {name: every.get(name) for name in expected}, expected)
        carol = self.folder / "carol.txt"
        carol.write_text(f"{CAROL}\n")
        rest = self._downloaded("r", *self.master, "--project-data", "--excludelist", carol)
        others = {name: text for name, text in every.items() if not name.startswith(CAROL)}
        same("of all but carol", rest, others)
        within(f"{DAN}/mood.txt", rest)

    def download_metadata(self):
        """ohproj-download-metadata lists the files of all members"""
        target = self.folder / "metadata.csv"
        self._run("ohproj-download-metadata", *self.master, "--output-csv", target)
        rows = list(csv.DictReader(target.open()))
        header = ["project_member_id", "data_source", "file_basename", "file_upload_date"]
        same("the header", list(rows[0]), header)
        dans = [row for row in rows if row["project_member_id"] == DAN]
        # The tool prints names as Python byte strings.
        names = sorted(row["file_basename"] for row in dans)
        same("dan's files", names, ["b'mood.txt'", "b'note.txt'"])
        same("their source", {row["data_source"] for row in dans}, {"direct-sharing-2"})
        empty = {row["data_source"] for row in rows if row["file_basename"] == "None"}
        same("the source of no files", empty, {"NA"})
        url = "/api/direct-sharing/project/"
        count = self.sandbox.get(f"{url}?access_token={self.sandbox.master_token}")
        members = {row["project_member_id"] for row in rows}
        same("members", len(members), count["authorized_members"])

    def message(self):
        """ohproj-message sends a message to one or all members

        Given several, the tool sends the field repeated, of which the server reads the last.
        """
        tool = ["ohproj-message", "-s", "Hello", "-m", "How are you?", "-at"]

        def reached(*args):
            self._run(*tool, *args)
            message = self.sandbox.last_message()
            same("the text", (message["subject"], message["message"]), ("Hello", "How are you?"))
            return message["to"]

        same("the member", reached(self.member[1]), [CAROL])
        master = self.sandbox.master_token
        same("one", reached(master, "--project_member_ids", DAN), [DAN])
        same("two", reached(master, "--project_member_ids", f"{DAN}, {CAROL}"), [CAROL])
        to = reached(master, "--all_members", "True")
        assert {CAROL, DAN} < set(to), f"all members are only {to}"
        within("__all__", self._run(*tool, master, fails=True))

    def delete(self):
        """ohproj-delete deletes files by name, by id, and all files"""
        tool = ["ohproj-delete", *self.master, "-m", CAROL]
        number = next(f["id"] for f in self.sandbox.files(CAROL) if f["basename"] == "sleep.txt")
        for args, left in (
            (["-b", "diet.csv"], ["mood.txt", "sleep.txt", "steps.json"]),
            (["-i", number], ["mood.txt", "steps.json"]),
            (["--all_files", "True"], ["steps.json"]),
        ):
            same("the output", self._run(*tool, *args).strip(), "File deleted successfully")
            same(f"what is left after {args}", self.sandbox.names(CAROL), left)
        wrong = ["ohproj-delete", "-T", "wrong", "-m", CAROL, "-b", "a"]
        within("code 401", self._run(*wrong, fails=True))
        same("dan's", self.sandbox.names(DAN), ["mood.txt", "note.txt"])

    def public_download(self):
        """ohpub-download downloads all public files"""
        folder = write(self.folder / "public")
        self._run("ohpub-download", "-d", folder)
        came = read(folder)
        same("carol's", came.get(f"{CAROL}-steps.json"), "[1]")
        same("dan's", came.get(f"{DAN}-mood.txt"), "fair")
        public = self.sandbox.get("/api/public-data/?limit=1000")["results"]
        expected = {f"{file['user']['id']}-{file['basename']}" for file in public}
        assert len(expected) > 100, "there is no second page"
        same("the files", set(came), expected)
