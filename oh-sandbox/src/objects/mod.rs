//! The object store: a second host, which accepts signed links instead of tokens.
//!
//! Contents are files in a temporary directory and are streamed, so large files need little memory.
//! Links have signatures of S3's version 2 query authentication. A PUT with a `Content-Type`
//! therefore has an invalid signature, and a request with an `Authorization` header uses two
//! authentication mechanisms.

mod content;
mod receive;
mod serve;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::extract::Request;
use axum::response::Response;
use http::{Method, StatusCode, header};
use tempfile::TempDir;
use time::OffsetDateTime;
use url::Url;

use crate::secret::{Key, constant_time_eq};
use crate::web::call::Fields;
use crate::web::path::{decode, encode};
use crate::web::respond::{response, xml_error};
use content::Content;

/// The access key id in the links.
const ACCESS_KEY: &str = "SANDBOX";

/// The lifetime of an upload link, in seconds.
const PUT_LIFETIME: i64 = 6 * 3600;

/// The lifetime of a download link, in seconds.
const GET_LIFETIME: i64 = 3600;

/// All objects, by their path.
pub(crate) struct ObjectStore {
    url: Url,
    key: Key,
    /// Created for the first object, because most sandboxes store none.
    folder: OnceLock<TempDir>,
    last: AtomicU64,
    objects: Mutex<HashMap<String, Arc<Content>>>,
}

impl ObjectStore {
    pub(crate) fn new(url: Url, key: Key) -> Self {
        Self {
            url,
            key,
            folder: OnceLock::new(),
            last: AtomicU64::new(0),
            objects: Mutex::default(),
        }
    }

    /// Returns a new path for a file.
    pub(crate) fn new_path(source: &str, name: &str) -> String {
        let folder = crate::secret::uuid(crate::secret::random());
        format!("/open-humans-testing/member-files/{source}/{folder}/{name}")
    }

    /// Returns an upload link.
    pub(crate) fn put_link(&self, path: &str, now: OffsetDateTime) -> String {
        let expires = now.unix_timestamp() + PUT_LIFETIME;
        let path = encode(path);
        let signature = form(&self.sign("PUT", "", expires, &path));
        format!(
            "{}{path}?Signature={signature}&Expires={expires}&AWSAccessKeyId={ACCESS_KEY}",
            self.base()
        )
    }

    /// Returns a download link.
    pub(crate) fn get_link(&self, path: &str, download_key: &str, now: OffsetDateTime) -> String {
        let expires = now.unix_timestamp() + GET_LIFETIME;
        let path = encode(path);
        let signature = form(&self.sign("GET", "", expires, &path));
        format!(
            "{}{path}?AWSAccessKeyId={ACCESS_KEY}&Signature={signature}&Expires={expires}&x-oh-key={download_key}",
            self.base()
        )
    }

    pub(crate) fn get(&self, path: &str) -> Option<Arc<Content>> {
        self.lock().get(path).cloned()
    }

    pub(crate) fn remove(&self, paths: impl IntoIterator<Item = String>) {
        let mut objects = self.lock();
        for path in paths {
            objects.remove(&path);
        }
    }

    /// Stores the small content of a simple upload.
    pub(crate) fn put_bytes(
        &self,
        path: &str,
        bytes: &[u8],
        now: OffsetDateTime,
    ) -> io::Result<()> {
        let content = receive::write(self.new_file()?, bytes, now)?;
        self.lock().insert(path.to_owned(), Arc::new(content));
        Ok(())
    }

    /// Handles a request to the store.
    pub(crate) async fn answer(&self, request: Request, now: OffsetDateTime) -> Response {
        match *request.method() {
            Method::PUT | Method::GET | Method::HEAD => {}
            _ => {
                return xml_error(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "MethodNotAllowed",
                    "The method is not allowed.",
                );
            }
        }
        if let Some(response) = self.refuse(&request, now) {
            return response;
        }
        let path = decode(request.uri().path());
        if request.method() != Method::PUT {
            let Some(content) = self.get(&path) else {
                return xml_error(
                    StatusCode::NOT_FOUND,
                    "NoSuchKey",
                    "The specified key does not exist.",
                );
            };
            return serve::serve(content, request.method(), request.headers(), &path).await;
        }
        let announced = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok());
        let Some(announced) = announced.and_then(|text| text.parse::<u64>().ok()) else {
            let text = "A header you provided implies functionality that is not implemented";
            return xml_error(StatusCode::NOT_IMPLEMENTED, "NotImplemented", text);
        };
        let stored = match self.new_file() {
            Ok(file) => receive::receive(file, request.into_body(), announced, now).await,
            Err(error) => Err(error),
        };
        match stored {
            Ok(content) => {
                let etag = content.etag.clone();
                self.lock().insert(path, Arc::new(content));
                let mut response = response(StatusCode::OK, "text/html; charset=utf-8", "");
                if let Ok(etag) = etag.parse() {
                    response.headers_mut().insert(header::ETAG, etag);
                }
                response
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => xml_error(
                StatusCode::BAD_REQUEST,
                "IncompleteBody",
                "Fewer bytes came than were announced.",
            ),
            Err(_) => xml_error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                "The object was not stored.",
            ),
        }
    }

    /// Returns the error response for a request without a valid signature.
    fn refuse(&self, request: &Request, now: OffsetDateTime) -> Option<Response> {
        let headers = request.headers();
        if headers.contains_key(header::AUTHORIZATION) {
            let text = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query \
                        string parameter or the Authorization header should be specified";
            return Some(xml_error(StatusCode::BAD_REQUEST, "InvalidArgument", text));
        }
        let query = Fields::parse(request.uri().query().unwrap_or_default().as_bytes());
        let denied = |text| Some(xml_error(StatusCode::FORBIDDEN, "AccessDenied", text));
        let Some(expires) = query
            .get("Expires")
            .and_then(|text| text.parse::<i64>().ok())
        else {
            return denied(
                "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
            );
        };
        if now.unix_timestamp() > expires {
            return denied("Request has expired");
        }
        let content_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let signature = self.sign(
            request.method().as_str(),
            content_type.unwrap_or_default(),
            expires,
            &encode(&decode(request.uri().path())),
        );
        if !constant_time_eq(query.get("Signature").unwrap_or_default(), &signature) {
            let text = "The request signature we calculated does not match the signature you provided. Check your \
                        key and signing method.";
            return Some(xml_error(
                StatusCode::FORBIDDEN,
                "SignatureDoesNotMatch",
                text,
            ));
        }
        None
    }

    fn sign(&self, method: &str, content_type: &str, expires: i64, path: &str) -> String {
        self.key
            .signature(&format!("{method}\n\n{content_type}\n{expires}\n{path}"))
    }

    fn base(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    fn new_file(&self) -> io::Result<PathBuf> {
        if self.folder.get().is_none() {
            let folder = tempfile::Builder::new().prefix("oh-sandbox-").tempdir()?;
            // Another thread may have set its directory first; this one is then deleted.
            let _ = self.folder.set(folder);
        }
        let folder = self.folder.get().ok_or(io::ErrorKind::NotFound)?;
        Ok(folder
            .path()
            .join(self.last.fetch_add(1, Ordering::Relaxed).to_string()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Content>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn form(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
