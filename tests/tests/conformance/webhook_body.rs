//! The body of the webhook: verified as received, with limits of size and time.

use oh_sandbox::webhook::sign;
use oh_tests::wire::{Connection, Request};

use crate::apps::{Plan, SECRET, both};
use crate::webhook::{BODY, PATHS, everywhere, signed};

const HEADER: &str = "X-OpenHumans-Webhooks-Signature";

/// The size limit of oh-core.
const LIMIT: usize = oh_core::webhook::MAX_BODY;

#[tokio::test]
async fn chunks_are_put_together() {
    both(Plan::default(), async |app| {
        let value = sign(SECRET, BODY);
        for size in [1, 7, 64, BODY.len()] {
            let chunks: Vec<&[u8]> = BODY.as_bytes().chunks(size).collect();
            everywhere(app, &format!("chunks of {size}"), 200, |path| {
                Request::post(path).header(HEADER, &value).chunks(&chunks)
            })
            .await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_limit_holds_to_the_byte() {
    both(Plan::default(), async |app| {
        // Blanks after JSON change only its length.
        let fill = |length: usize| format!("{BODY}{}", " ".repeat(length - BODY.len()));
        let (fits, too_long) = (fill(LIMIT), fill(LIMIT + 1));
        everywhere(app, "at the limit", 200, |path| signed(path, &fits)).await;
        everywhere(app, "over the limit", 413, |path| signed(path, &too_long)).await;
        for (label, body, status) in [("at", &fits, 200), ("over", &too_long, 413)] {
            let value = sign(SECRET, body);
            let chunks: Vec<&[u8]> = body.as_bytes().chunks(1000).collect();
            everywhere(
                app,
                &format!("{label} the limit, in chunks"),
                status,
                |path| Request::post(path).header(HEADER, &value).chunks(&chunks),
            )
            .await;
        }
    })
    .await;
}

#[tokio::test]
async fn webhook_is_rejected_before_its_body_is_read() {
    both(Plan::default(), async |app| {
        let value = sign(SECRET, BODY);
        for length in [LIMIT as u64 + 1, 1 << 40] {
            everywhere(app, &format!("{length} bytes announced"), 413, |path| {
                Request::post(path).header(HEADER, &value).announce(length)
            })
            .await;
        }
        everywhere(app, "unsigned", 401, |path| {
            Request::post(path).announce(LIMIT as u64)
        })
        .await;
        everywhere(app, "malformed", 401, |path| {
            Request::post(path)
                .header(HEADER, "sha1=zz")
                .announce(LIMIT as u64)
        })
        .await;
        everywhere(app, "twice", 401, |path| {
            Request::post(path)
                .header(HEADER, &value)
                .header(HEADER, &value)
                .announce(100)
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up() {
    both(Plan::default(), async |app| {
        let value = sign(SECRET, BODY);
        let path = PATHS[0];
        let request = Request::post(path)
            .header(HEADER, &value)
            .announce(BODY.len() as u64);
        let response = app.send("announced, never sent", &request).await;
        assert_eq!(response.status, 408);
        assert_eq!(app.events().await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_comes_in_pieces_is_taken() {
    both(Plan::default(), async |app| {
        for path in PATHS {
            let whole = signed(path, BODY).to_bytes(&app.host);
            let mut connection = Connection::open(app.addr).await.unwrap();
            for piece in whole.chunks(50) {
                connection.write(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            let response = connection.response("POST").await.unwrap();
            let response = app.note(&format!("{path} in pieces"), response);
            assert!((200..300).contains(&response.status), "{response:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_sender_who_hangs_up_in_the_middle_is_forgotten() {
    both(Plan::default(), async |app| {
        let whole = signed(PATHS[0], BODY).to_bytes(&app.host);
        let mut connection = Connection::open(app.addr).await.unwrap();
        connection.write(&whole[..whole.len() - 10]).await.unwrap();
        drop(connection);
        let response = app.send("the next one", &signed(PATHS[0], BODY)).await;
        assert_eq!(response.status, 204);
        assert_eq!(app.events().await, 1);
    })
    .await;
}

/// [`BODY`] compressed with gzip. It must not be decompressed before the verification.
fn gzipped() -> Vec<u8> {
    // The header, one uncompressed block, the checksum and the length.
    let body = BODY.as_bytes();
    let length = u16::try_from(body.len()).unwrap();
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend(body);
    bytes.extend(crc32(body).to_le_bytes());
    bytes.extend(u32::from(length).to_le_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            }
        })
    })
}

#[tokio::test]
async fn a_compressed_body_is_verified_as_it_came() {
    both(Plan::default(), async |app| {
        let packed = gzipped();
        // The signature is over the decompressed bytes, not over the received ones.
        let before = sign(SECRET, BODY);
        everywhere(app, "signed before packing", 401, |path| {
            Request::post(path)
                .header("content-encoding", "gzip")
                .header(HEADER, &before)
                .body(packed.clone())
        })
        .await;
        // The header says gzip, but the body is plain. The signature is over the received bytes.
        for path in ["/openhumans/deauth", "/webhook/extractor"] {
            for encoding in ["gzip", "br", "deflate", "zstd", "identity", "nonsense"] {
                let request = signed(path, BODY).header("content-encoding", encoding);
                let response = app.send(&format!("{path}: {encoding}"), &request).await;
                assert!(
                    (200..300).contains(&response.status),
                    "{encoding}: {response:?}"
                );
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    both(Plan::default(), async |app| {
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "?",
        ] {
            let value = sign(SECRET, BODY);
            everywhere(app, kind, 200, |path| {
                Request::post(path)
                    .header("content-type", kind)
                    .header(HEADER, &value)
                    .body(BODY)
            })
            .await;
        }
    })
    .await;
}
