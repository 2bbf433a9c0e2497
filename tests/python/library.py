import contextlib
import io
import os

import ohapi
import requests
from ohapi.projects import OHProject
from ohapi.public import get_members_by_source, get_sources_by_member
from ohapi.utils_fs import download_file

from sandbox import ALICE, BOB, NAMELESS, REDIRECT_URI, query, read, write
from steps import fails, same, within

ABOUT = {"tags": ["survey", "csv"], "description": "Diet survey"}


class Library:
    """open-humans-api 0.2.9, its functions"""

    def __init__(self, sandbox, folder):
        self.sandbox = sandbox
        self.folder = folder
        self.tokens = None
        folder.mkdir()

    def _exchange(self, **what):
        return ohapi.api.oauth2_token_exchange(
            self.sandbox.client_id, self.sandbox.client_secret, REDIRECT_URI, **what
        )

    def authorization_url(self):
        """oauth2_auth_url returns the authorization URL"""
        url = ohapi.api.oauth2_auth_url(REDIRECT_URI, self.sandbox.client_id)
        within(self.sandbox.url("/direct-sharing/projects/oauth2/authorize/?"), url)
        expected = {
            "client_id": self.sandbox.client_id,
            "response_type": "code",
            "redirect_uri": REDIRECT_URI,
        }
        same("what it asks", query(url), expected)
        fails(ohapi.api.oauth2_auth_url, "Client ID not provided")
        os.environ["OHAPI_CLIENT_ID"] = self.sandbox.client_id
        try:
            same("with the id from the environment", ohapi.api.oauth2_auth_url(REDIRECT_URI), url)
        finally:
            del os.environ["OHAPI_CLIENT_ID"]

    def refusal(self):
        """a refused authorization redirects without a code"""
        url = ohapi.api.oauth2_auth_url(REDIRECT_URI, self.sandbox.client_id)
        back = self.sandbox.decide(url, ALICE, "refuse")
        same("what comes back", query(back), {"error": "access_denied"})

    def token_exchange(self):
        """oauth2_token_exchange exchanges a code once"""
        url = ohapi.api.oauth2_auth_url(REDIRECT_URI, self.sandbox.client_id)
        back = self.sandbox.decide(url, ALICE)
        same("where they come back", back.split("?")[0], REDIRECT_URI)
        same("what comes back", sorted(query(back)), ["code", "origin"])
        same("the origin", query(back)["origin"], "external")
        code = query(back)["code"]
        self.tokens = self._exchange(code=code)
        same("token_type", self.tokens["token_type"], "Bearer")
        same("expires_in", self.tokens["expires_in"], 36000)
        same("the access token's length", len(self.tokens["access_token"]), 30)
        same("the refresh token's length", len(self.tokens["refresh_token"]), 30)
        fails(lambda: self._exchange(code=code), "code 400", "invalid_grant")

    def refused_exchanges(self):
        """oauth2_token_exchange fails with a wrong secret, a wrong code, or both kinds of grant"""
        wrong = lambda: ohapi.api.oauth2_token_exchange(
            self.sandbox.client_id, "wrong", REDIRECT_URI, code="c"
        )
        fails(wrong, "code 401", "invalid_client")
        fails(lambda: self._exchange(code="c"), "code 400", "invalid_grant")
        fails(lambda: self._exchange(code="c", refresh_token="r"), "must be specified")

    def refresh(self):
        """oauth2_token_exchange refreshes and invalidates the old pair immediately"""
        old, self.tokens = self.tokens, self._exchange(refresh_token=self.tokens["refresh_token"])
        assert old["access_token"] != self.tokens["access_token"], "the access token is the same"
        assert old["refresh_token"] != self.tokens["refresh_token"], "the refresh token is the same"
        fails(lambda: ohapi.api.exchange_oauth2_member(old["access_token"]), "code 401", "Invalid")
        again = lambda: self._exchange(refresh_token=old["refresh_token"])
        fails(again, "code 400", "invalid_grant")
        ohapi.api.exchange_oauth2_member(self.tokens["access_token"])

    def expiry(self):
        """an expired access token is rejected until it is refreshed"""
        self.sandbox.post(f"/sandbox/members/{ALICE}/expire-tokens")
        token = self.tokens["access_token"]
        fails(lambda: ohapi.api.exchange_oauth2_member(token), "code 401", "Expired token.")
        self.tokens = self._exchange(refresh_token=self.tokens["refresh_token"])
        ohapi.api.exchange_oauth2_member(self.tokens["access_token"])

    def exchange_member(self):
        """exchange_oauth2_member returns the member"""
        member = ohapi.api.exchange_oauth2_member(self.tokens["access_token"])
        same("project_member_id", member["project_member_id"], ALICE)
        same("username", member["username"], "alice")
        same("sources_shared", member["sources_shared"], ["direct-sharing-1"])
        same("count", (member["count"], member["data"]), (0, []))
        nameless = ohapi.api.exchange_oauth2_member(self.sandbox.tokens(NAMELESS)["access_token"])
        assert "username" not in nameless, "a name was told that is not shared"

    def simple_upload(self):
        """a file is uploaded in one request

        The package has no function for this; the request is the one Open Humans' documentation
        shows, with the library that the package makes its own requests with.
        """
        url = self.sandbox.url("/api/direct-sharing/project/files/upload/")
        answer = requests.post(
            f"{url}?access_token={self.tokens['access_token']}",
            data={"project_member_id": ALICE, "metadata": '{"tags": [], "description": "d"}'},
            files={"data_file": ("a b.txt", io.BytesIO(b"simple"))},
        )
        same("the answer", answer.status_code, 201)
        listed = ohapi.api.exchange_oauth2_member(self.tokens["access_token"])["data"]
        same("the id", [file["id"] for file in listed], [answer.json()["id"]])
        same("the name", listed[0]["basename"], "a_b.txt")

    def upload_aws(self):
        """upload_aws uploads a file to the object store"""
        folder = write(self.folder / "up", diet_csv="food,amount\napple,3\n")
        answer = ohapi.api.upload_aws(
            str(folder / "diet.csv"), ABOUT, self.tokens["access_token"], project_member_id=ALICE
        )
        same("the answer", answer.json(), {"status": "ok", "size": 20})
        file = self.sandbox.files(ALICE)[-1]
        same("the name", file["basename"], "diet.csv")
        same("the metadata", file["metadata"], ABOUT)
        same("the source", file["source"], "direct-sharing-2")
        same("datatypes", file["datatypes"], [])

    def upload_file_and_stream(self):
        """upload_file accepts datatypes, upload_stream any name; both reject large and empty files"""
        token, path = self.tokens["access_token"], str(self.folder / "up" / "diet.csv")
        ohapi.api.upload_file(path, ABOUT, token, datatypes=[2, 3])
        kinds = [url.rsplit("/", 2)[1] for url in self.sandbox.files(ALICE)[-1]["datatypes"]]
        same("the datatypes", kinds, ["2", "3"])
        fails(lambda: ohapi.api.upload_file(path, ABOUT, token, datatypes=[4]), "code 400", "[4]")
        ohapi.api.upload_stream(io.BytesIO(b"streamed"), "é & ?.txt", ABOUT, token)
        same("the name", self.sandbox.files(ALICE)[-1]["basename"], "é & ?.txt")
        empty = lambda: ohapi.api.upload_stream(io.BytesIO(b""), "e.txt", ABOUT, token)
        fails(empty, "empty")
        fails(lambda: ohapi.api.upload_file(path, ABOUT, token, max_bytes=19), "size exceeded")
        fails(lambda: ohapi.api.upload_file(path, {"tags": []}, token), "code 400", "description")
        same("how many there are", len(self.sandbox.files(ALICE)), 4)

    def upload_skips_what_is_there(self):
        """upload_aws skips a file of the same size"""
        there = next(file for file in self.sandbox.files(ALICE) if file["basename"] == "diet.csv")
        path = str(self.folder / "up" / "diet.csv")
        token = self.tokens["access_token"]
        output = ohapi.api.upload_aws(path, ABOUT, token, remote_file_info=there)
        within("remote exists with matching file size", output)
        same("how many there are", len(self.sandbox.files(ALICE)), 4)

    def download(self):
        """download_file downloads a file, skips an equal one and replaces another"""
        files = ohapi.api.exchange_oauth2_member(self.tokens["access_token"])["data"]
        link = next(file["download_url"] for file in files if file["basename"] == "é & ?.txt")
        target = self.folder / "got.txt"
        download_file(link, str(target))
        same("the content", target.read_text(), "streamed")
        target.write_text("12345678")
        download_file(link, str(target))
        same("one of the same size", target.read_text(), "12345678")
        target.write_text("other")
        download_file(link, str(target))
        same("one of another size", target.read_text(), "streamed")
        target.unlink()
        download_file(link, str(target), max_bytes=7)
        assert not target.exists(), "a file over the limit was downloaded"

    def message(self):
        """message sends a message to the token's member"""
        answer = ohapi.api.message("Hello", "How are you?", self.tokens["access_token"])
        same("the answer", answer.json(), "success")
        expected = {"subject": "Hello", "message": "How are you?", "to": [ALICE]}
        same("the message", self.sandbox.last_message(), expected)

    def delete(self):
        """delete_file deletes files by name, by id, and all files"""
        token = self.tokens["access_token"]
        files = {file["basename"]: file["id"] for file in self.sandbox.files(ALICE)}
        gone = ohapi.api.delete_file(token, ALICE, file_basename="a_b.txt").json()
        same("by name", gone, {"ids": [files["a_b.txt"]]})
        gone = ohapi.api.delete_file(token, file_id=files["é & ?.txt"]).json()
        same("by id", gone, {"ids": [files["é & ?.txt"]]})
        same("what is left", self.sandbox.names(ALICE), ["diet.csv", "diet.csv"])
        both = lambda: ohapi.api.delete_file(token, file_id=1, file_basename="a")
        fails(both, "One (and only one)")
        same("how many", len(ohapi.api.delete_files(token, all_files=True).json()["ids"]), 2)
        same("what is left", self.sandbox.names(ALICE), [])
        same("once more", ohapi.api.delete_files(token, all_files=True).json(), {"ids": []})

    def member_upload_modes(self):
        """upload_member_from_dir adds, keeps (safe) and deletes (sync) files"""
        token = self.tokens["access_token"]

        def upload(folder, mode):
            about = {name: ABOUT for name in os.listdir(folder)}
            member = ohapi.api.exchange_oauth2_member(token)
            OHProject.upload_member_from_dir(member, str(folder), about, token, mode)

        self.sandbox.share(ALICE, "steps.json", "{}")
        upload(write(self.folder / "mode1", a_txt="1", b_txt="1"), "default")
        same("default", self.sandbox.names(ALICE), ["a.txt", "b.txt", "steps.json"])
        upload(write(self.folder / "mode2", a_txt="22"), "safe")
        same("safe", self.sandbox.names(ALICE), ["a.txt", "b.txt", "steps.json"])
        upload(write(self.folder / "mode3", a_txt="1", c_txt="1"), "sync")
        same("sync", self.sandbox.names(ALICE), ["a.txt", "c.txt", "steps.json"])
        with contextlib.redirect_stdout(io.StringIO()) as output:
            unlisted = [{}, str(self.folder / "mode1"), {}, token]
            fails(lambda: OHProject.upload_member_from_dir(*unlisted), "Metadata should match")
        within("not found in metadata file", output.getvalue())

    def project(self):
        """OHProject lists all members with all their files over several pages"""
        self.sandbox.tokens(BOB)
        for number in range(12):
            self.sandbox.share(BOB, f"day{number}.txt", str(number))
        project = OHProject(self.sandbox.master_token)
        same("the members", sorted(project.project_data), sorted([ALICE, BOB, NAMELESS]))
        same("bob's files", len(project.project_data[BOB]["data"]), 12)
        same("alice's name", project.project_data[ALICE]["username"], "alice")
        fails(lambda: OHProject("wrong"), "code 401", "Invalid token.")

    def project_download(self):
        """download_all downloads shared or own files of all or some members"""
        project = OHProject(self.sandbox.master_token)

        def downloaded(name, **options):
            folder = write(self.folder / name)
            project.download_all(str(folder), **options)
            return read(folder)

        days = {f"{BOB}/direct-sharing-1/day{n}.txt": str(n) for n in range(12)}
        steps = {f"{ALICE}/direct-sharing-1/steps.json": "{}"}
        same("shared", downloaded("all"), steps | days)
        same("bob's", downloaded("bob", memberlist=[BOB]), days)
        same("not bob's", downloaded("rest", excludelist=[BOB]), steps)
        of_source = downloaded("source", source="direct-sharing-1", excludelist=[BOB])
        same("of one source", of_source, {f"{ALICE}/steps.json": "{}"})
        own = {f"{ALICE}/a.txt": "1", f"{ALICE}/c.txt": "1"}
        same("the project's own", downloaded("own", project_data=True), own)

    def newest_of_a_name(self):
        """download_member_project_data downloads the newer of two files with one name"""
        token = self.tokens["access_token"]
        ohapi.api.upload_stream(io.BytesIO(b"newer"), "a.txt", ABOUT, token)
        same("alice's files", self.sandbox.names(ALICE).count("a.txt"), 2)
        folder = write(self.folder / "newest")
        member = ohapi.api.exchange_oauth2_member(token)
        OHProject.download_member_project_data(member, str(folder))
        same("what came", read(folder), {"a.txt": "newer", "c.txt": "1"})

    def project_messages(self):
        """message sends a message to all or some members

        The package writes a list as a field repeated, of which the server reads the last; several
        members are reached by one text with commas.
        """
        master = self.sandbox.master_token

        def reached(**who):
            same("answer", ohapi.api.message("s", "m", master, **who).json(), "success")
            return sorted(self.sandbox.last_message()["to"])

        same("all", reached(all_members=True), sorted([ALICE, BOB, NAMELESS]))
        same("one", reached(project_member_ids=[BOB]), [BOB])
        same("a text", reached(project_member_ids=f"{ALICE}, {BOB}"), sorted([ALICE, BOB]))
        same("a list", reached(project_member_ids=[ALICE, BOB]), [BOB])
        unknown = lambda: reached(project_member_ids=["99999999"])
        fails(unknown, "code 400", "Invalid project member ID(s): 99999999")
        fails(lambda: reached(all_members=True, project_member_ids=[BOB]), "(and only one)")
        fails(lambda: ohapi.api.message("s", "m", master), "code 400", "__all__")

    def pages(self):
        """lists of more than 100 items are complete"""
        token = self.sandbox.tokens(NAMELESS)["access_token"]
        for number in range(105):
            self.sandbox.share(NAMELESS, f"{number}.txt", "x")
        every = ohapi.api.exchange_oauth2_member(token)["data"]
        same("different files", len({file["id"] for file in every}), 105)
        first = ohapi.api.exchange_oauth2_member(token, all_files=False)["data"]
        same("the first page", len(first), 100)
        self.sandbox.post("/sandbox/members", count=150)
        project = OHProject(self.sandbox.master_token)
        same("members", len(project.project_data), 153)
        same("the member's files", len(project.project_data[NAMELESS]["data"]), 105)

    def public(self):
        """get_sources_by_member and get_members_by_source return members and sources"""
        by_member = get_sources_by_member(limit=50)
        same("how many", len({entry["username"] for entry in by_member}), 153)
        alice = next(entry for entry in by_member if entry["username"] == "alice")
        within("direct-sharing-2", alice["sources"])
        by_source = get_members_by_source()["results"]
        ours = next(entry for entry in by_source if entry["source"] == "direct-sharing-2")
        within("bob", ours["usernames"])

    def leaving(self):
        """a former member is rejected and not listed"""
        same("nobody listens", self.sandbox.leave(ALICE, True), [])
        token = self.tokens["access_token"]
        fails(lambda: ohapi.api.exchange_oauth2_member(token), "code 401", "Invalid token.")
        refresh = lambda: self._exchange(refresh_token=self.tokens["refresh_token"])
        fails(refresh, "code 400", "invalid_grant")
        assert ALICE not in OHProject(self.sandbox.master_token).project_data, "still there"
