//! Uploads, lists, downloads and deletions of files.

use std::io::Cursor;

use futures_util::TryStreamExt;
use oh_core::Error;
use oh_core::api::{
    AccessLogFilter, DataFile, DataFileId, DirectUpload, FileMetadata, MemberClient, SecretUrl,
    Upload, UploadMethod,
};
use oh_core::transport::{Body, HttpClient, Transport};

use crate::server::{TestServer, in_sandbox, on_server};

const BIG: usize = 3 << 20;

fn content(size: usize) -> Vec<u8> {
    (0..=250).cycle().take(size).collect()
}

fn metadata() -> FileMetadata {
    FileMetadata::new("From the contract suite")
        .tags(["contract", "csv"])
        .creation_date("2020-01-02T03:04:05Z")
        .field("round", 3)
}

async fn listed(member: &MemberClient, id: DataFileId) -> Option<DataFile> {
    let mut files = member.files();
    while let Some(file) = files.try_next().await.unwrap() {
        if file.id == id {
            return Some(file);
        }
    }
    None
}

/// Uploads a file, and compares its record and content with what was sent.
async fn round_trip(member: &MemberClient, upload: Upload, name: &str, bytes: &[u8]) -> DataFile {
    let upload = upload.metadata(metadata()).with_md5();
    let uploaded = member.upload(upload).await.unwrap();
    assert_eq!(uploaded.size, bytes.len() as u64);
    let file = listed(member, uploaded.id)
        .await
        .expect("the file is not listed");
    assert_eq!(file.basename, name);
    assert_eq!(file.description(), "From the contract suite");
    assert_eq!(file.tags(), ["contract", "csv"]);
    assert_eq!(file.metadata_map()["round"], 3);
    assert_eq!(file.md5(), uploaded.md5);
    assert!(file.created.is_some() && file.source.is_some());
    let downloaded = member.download(&file).bytes().await.unwrap();
    assert!(downloaded == bytes, "the content of {name} differs");
    file
}

#[tokio::test]
async fn small_file_is_uploaded_downloaded_and_deleted() {
    on_server(async |server| {
        for member in [&server.member, &server.by_master()] {
            let bytes = content(1000);
            let upload = Upload::bytes("contract.csv", bytes.clone());
            let file = round_trip(member, upload, "contract.csv", &bytes).await;
            assert_eq!(member.delete_file(file.id).await.unwrap(), [file.id]);
            assert!(listed(member, file.id).await.is_none());
            assert!(member.delete_file(file.id).await.unwrap().is_empty());
        }
    })
    .await;
}

#[tokio::test]
async fn large_file_is_uploaded_from_every_source() {
    on_server(async |server| {
        let bytes = content(BIG);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("contract big.bin");
        std::fs::write(&path, &bytes).unwrap();
        let name = "contract big.bin";
        for upload in [
            Upload::path(&path),
            Upload::bytes(name, bytes.clone()),
            Upload::reader(name, Cursor::new(bytes.clone())),
            Upload::sized_reader(name, Cursor::new(bytes.clone()), BIG as u64),
        ] {
            let file = round_trip(&server.member, upload, name, &bytes).await;
            server.member.delete_file(file.id).await.unwrap();
        }
        let by_master = Upload::bytes(name, bytes.clone());
        round_trip(&server.by_master(), by_master, name, &bytes).await;
    })
    .await;
}

#[tokio::test]
async fn small_file_with_special_name_keeps_its_name() {
    on_server(async |server| {
        for name in [
            "a b+c&d.txt",
            "naïve-日本.txt",
            "sp ace?q#h&x=y.txt",
            "100%.txt",
        ] {
            let upload = Upload::bytes(name, "x");
            round_trip(&server.member, upload, name, b"x").await;
        }
        let empty = Upload::bytes("contract-empty.txt", "");
        round_trip(&server.member, empty, "contract-empty.txt", b"").await;
    })
    .await;
}

#[tokio::test]
async fn simple_upload_accepts_largest_allowed_file() {
    on_server(async |server| {
        // Searches for the largest file that the client sends in one request.
        let upload =
            |size: usize| Upload::bytes("contract.bin", content(size)).via(UploadMethod::Simple);
        let (mut low, mut high) = (2_600_000, 2_621_440);
        let member = server.client.member("none");
        while low + 1 < high {
            let middle = (low + high) / 2;
            match member.upload(upload(middle)).await.unwrap_err() {
                Error::TooLarge { .. } => high = middle,
                Error::Unauthorized { .. } => low = middle,
                other => panic!("{other}"),
            }
        }
        let uploaded = server.member.upload(upload(low)).await.unwrap();
        let file = listed(&server.member, uploaded.id).await.unwrap();
        let downloaded = server.member.download(&file).bytes().await.unwrap();
        assert_eq!(downloaded.len(), low);
    })
    .await;
}

#[tokio::test]
async fn files_are_deleted_by_name() {
    on_server(async |server| {
        let name = "contract-by-name.txt";
        let mut ids = Vec::new();
        for _ in 0..2 {
            let uploaded = server
                .member
                .upload(Upload::bytes(name, "x"))
                .await
                .unwrap();
            ids.push(uploaded.id);
        }
        let mut deleted = server.member.delete_files_named(name).await.unwrap();
        deleted.sort();
        assert_eq!(deleted, ids);
        assert!(
            server
                .member
                .delete_files_named(name)
                .await
                .unwrap()
                .is_empty()
        );
    })
    .await;
}

#[tokio::test]
async fn delete_all_files_keeps_shared_files() {
    in_sandbox(async |server, sandbox| {
        let id = server.id.as_str();
        sandbox
            .add_file(id, "a", b"1", serde_json::json!({}))
            .unwrap();
        sandbox
            .add_file(id, "b", b"2", serde_json::json!({}))
            .unwrap();
        let shared = sandbox.add_shared_file(id, "c", b"3", serde_json::json!({}));
        assert_eq!(server.member.delete_all_files().await.unwrap().len(), 2);
        let left = server.member.exchange_member().await.unwrap().data;
        assert_eq!(left[0].id.get(), shared.unwrap());
    })
    .await;
}

#[tokio::test]
async fn upload_accepts_registered_data_types() {
    on_server(async |server| {
        let upload = Upload::bytes("contract.txt", "x").data_types(["no such data type"]);
        let error = server.member.upload(upload).await.unwrap_err();
        assert!(error.field("datatypes").is_some(), "{error}");
        let registered = server.project.project().await.unwrap().registered_datatypes;
        let Some(path) = registered.first() else {
            return;
        };
        let id = path.trim_end_matches('/').rsplit('/').next().unwrap();
        for via in [UploadMethod::Simple, UploadMethod::Direct] {
            let upload = Upload::bytes("contract.txt", "x").data_types([id]).via(via);
            let uploaded = server.member.upload(upload).await.unwrap();
            let file = listed(&server.member, uploaded.id).await.unwrap();
            assert_eq!(file.datatypes.unwrap().len(), 1);
        }
    })
    .await;
}

async fn uploaded(server: &TestServer, size: usize) -> DataFile {
    let upload = Upload::bytes("contract-down.bin", content(size)).with_md5();
    let id = server.member.upload(upload).await.unwrap().id;
    listed(&server.member, id).await.unwrap()
}

#[tokio::test]
async fn download_writes_to_every_target() {
    on_server(async |server| {
        let file = uploaded(server, BIG).await;
        let download = || server.member.download(&file);
        assert_eq!(download().bytes().await.unwrap(), content(BIG));

        let mut written = Vec::new();
        let size = download().to_writer(&mut written).await.unwrap();
        assert_eq!((size, written), (BIG as u64, content(BIG)));

        let stream = download().stream().await.unwrap();
        assert_eq!(stream.size(), Some(BIG as u64));
        let chunks: Vec<_> = stream.try_collect().await.unwrap();
        assert_eq!(chunks.concat(), content(BIG));

        let dir = tempfile::tempdir().unwrap();
        let done = download().into_dir(dir.path()).await.unwrap();
        assert_eq!(done.path, dir.path().join("contract-down.bin"));
        assert_eq!(std::fs::read(&done.path).unwrap(), content(BIG));
        let again = download().skip_existing().into_dir(dir.path()).await;
        assert!(again.unwrap().already_present);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);

        let error = download()
            .max_size(BIG as u64 - 1)
            .bytes()
            .await
            .unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }));
    })
    .await;
}

#[tokio::test]
async fn url_with_wrong_key_is_forbidden() {
    on_server(async |server| {
        let mut file = uploaded(server, 10).await;
        let address = file.download_url.expose().replace("key=", "key=0");
        file.download_url = address.into();
        let error = server.member.download(&file).bytes().await.unwrap_err();
        assert!(matches!(error, Error::Forbidden { .. }), "{error}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains("key="), "{text}");
    })
    .await;
}

#[tokio::test]
async fn url_expires_after_an_hour() {
    in_sandbox(async |server, sandbox| {
        let file = uploaded(server, 10).await;
        sandbox.advance(std::time::Duration::from_secs(3_660));
        let error = server.member.download(&file).bytes().await.unwrap_err();
        assert!(matches!(error, Error::Forbidden { .. }), "{error}");
    })
    .await;
}

/// Sends bytes to a URL as a browser would, without token and content type.
async fn put(url: &SecretUrl, bytes: &'static str) -> u16 {
    let request = http::Request::put(url.expose())
        .header("content-length", bytes.len())
        .body(Body::full(bytes))
        .unwrap();
    let sent = HttpClient::new().unwrap().send(request).await;
    sent.unwrap().status().as_u16()
}

#[tokio::test]
async fn direct_upload_accepts_file_from_browser() {
    on_server(async |server| {
        for member in [&server.member, &server.by_master()] {
            let upload = DirectUpload::new("contract parts.txt").metadata(metadata());
            let started = member.begin_upload(upload).await.unwrap();
            assert!(listed(member, started.id).await.is_none());
            let early = member.complete_upload(started.id).await.unwrap_err();
            assert!(early.to_string().contains("file not present"), "{early}");

            assert_eq!(put(&started.url, "from a browser").await, 200);
            let size = member.complete_upload(started.id).await.unwrap();
            assert_eq!(size, Some(14));
            let file = listed(member, started.id).await.unwrap();
            assert_eq!(file.basename, "contract parts.txt");
            assert_eq!(file.tags(), ["contract", "csv"]);
            let bytes = member.download(&file).bytes().await.unwrap();
            assert_eq!(bytes, "from a browser");

            member.discard_upload(&started).await.unwrap();
            assert!(listed(member, started.id).await.is_none());
        }
    })
    .await;
}

#[tokio::test]
async fn incomplete_upload_is_discarded() {
    in_sandbox(async |server, sandbox| {
        let upload = DirectUpload::new("a.txt");
        let started = server.member.begin_upload(upload).await.unwrap();
        assert_eq!(sandbox.files(server.id.as_str()).len(), 1);
        server.member.discard_upload(&started).await.unwrap();
        assert_eq!(sandbox.files(server.id.as_str()), []);
    })
    .await;
}

#[tokio::test]
async fn access_logs_are_visible_to_allowed_project() {
    in_sandbox(async |server, sandbox| {
        let filter = AccessLogFilter::new;
        let error = server.member.file_accesses(filter()).try_next().await;
        assert!(matches!(error, Err(Error::Forbidden { .. })));

        let allow = sandbox.url().join("/sandbox/settings?access_logs=true");
        let request = http::Request::post(allow.unwrap().as_str());
        let request = request.body(Body::empty()).unwrap();
        HttpClient::new().unwrap().send(request).await.unwrap();
        for name in ["a.txt", "b.txt"] {
            server
                .member
                .upload(Upload::bytes(name, "x"))
                .await
                .unwrap();
        }
        let mut files = server.member.files();
        while let Some(file) = files.try_next().await.unwrap() {
            server.member.download(&file).bytes().await.unwrap();
        }
        let accesses: Vec<_> = server
            .member
            .file_accesses(filter())
            .try_collect()
            .await
            .unwrap();
        let stored: Vec<_> = server
            .member
            .store_accesses(filter())
            .try_collect()
            .await
            .unwrap();
        assert_eq!((accesses.len(), stored.len()), (2, 2));
        assert_eq!(
            (stored[0].status, stored[0].bytes_sent),
            (Some(200), Some(1))
        );
        let first = &accesses[0];
        assert_eq!(first.key.as_ref().unwrap().project_id, Some(2));
        assert!(first.aws_url.is_some());

        let file = accesses[1].datafile.as_ref().unwrap();
        assert_eq!(file.basename.as_deref(), Some("b.txt"));
        let filtered = filter()
            .file(file.id.unwrap())
            .start(accesses[1].date.unwrap());
        let some: Vec<_> = server
            .member
            .file_accesses(filtered)
            .try_collect()
            .await
            .unwrap();
        assert_eq!(some.len(), 1);
        let filtered = filter().end("2000-01-01T00:00:00Z".parse().unwrap());
        let none = server.member.store_accesses(filtered).try_next().await;
        assert!(none.unwrap().is_none());
    })
    .await;
}
