//! Uploads: in one request, or in three through the object store.

use axum::response::Response;
use http::StatusCode;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::caller::Caller;
use super::{datatypes, metadata};
use crate::objects::ObjectStore;
use crate::state::Shared;
use crate::state::database::{DataFile, PROJECT, source};
use crate::web::call::{Call, RequestBody};
use crate::web::params::{MAX_REQUEST_BODY, Param, Params};
use crate::web::respond::{ErrorResponse, crash, detail, field_error, json};

/// The maximum length of a path in the server's database.
const MAX_PATH: usize = 1024;

/// The validation errors of a form, in the order of its fields.
#[derive(Default)]
struct FormErrors(Vec<(&'static str, [String; 1])>);

impl Serialize for FormErrors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(field, texts)| (field, texts)))
    }
}

impl FormErrors {
    fn add(&mut self, field: &'static str, text: &str) {
        self.0.push((field, [text.to_owned()]));
    }

    fn into_response(self) -> Option<Response> {
        (!self.0.is_empty()).then(|| json(StatusCode::BAD_REQUEST, &self))
    }
}

/// The attributes of a file, which both kinds of upload send.
struct Attributes {
    metadata: Value,
    datatypes: Vec<u64>,
}

fn attributes(params: &Params, errors: &mut FormErrors) -> Result<Attributes, ErrorResponse> {
    let mut attributes = Attributes {
        metadata: Value::Null,
        datatypes: Vec::new(),
    };
    // Metadata is a string with JSON even in a JSON body. An object is invalid.
    let object = matches!(params.get("metadata"), Some(Param::Json(Value::Object(_))));
    let text = params.text("metadata");
    match text.map(|text| {
        if object {
            Err(metadata::UNREADABLE)
        } else {
            metadata::parse(&text)
        }
    }) {
        None => errors.add("metadata", "This field is required."),
        Some(Ok(metadata)) => attributes.metadata = metadata,
        Some(Err(metadata::Invalid::Field(text))) => errors.add("metadata", text),
        Some(Err(metadata::Invalid::Crash(crash))) => return Err(crash),
    }
    match params.text("datatypes").map(|text| datatypes::parse(&text)) {
        None => {}
        Some(Ok(datatypes)) => attributes.datatypes = datatypes,
        Some(Err(datatypes::Invalid::Field(text))) => errors.add("datatypes", &text),
        Some(Err(datatypes::Invalid::Crash(crash))) => return Err(crash),
    }
    Ok(attributes)
}

#[derive(Serialize)]
struct Created {
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

/// `POST project/files/upload/`
pub(crate) fn simple(shared: &Shared, call: &Call, caller: Caller, params: &Params) -> Response {
    let too_long = match &call.body {
        RequestBody::TooLarge => true,
        RequestBody::Whole(body) => body.len() > MAX_REQUEST_BODY,
    };
    if too_long {
        return crash();
    }
    let index = match caller.member(&shared.db(), params) {
        Ok(index) => index,
        Err(response) => return *response,
    };
    let mut errors = FormErrors::default();
    let attributes = match attributes(params, &mut errors) {
        Ok(attributes) => attributes,
        Err(crash) => return *crash,
    };
    let file = params.file("data_file");
    match file {
        None => errors.add("data_file", "This field is required."),
        Some(file) if file.content.is_empty() => {
            errors.add("data_file", "The submitted file is empty.")
        }
        Some(_) => {}
    }
    if let Some(response) = errors.into_response() {
        return response;
    }
    let Some(file) = file else { return crash() };
    let file = NewFile {
        member: index,
        project: PROJECT,
        basename: &sanitized(&file.file_name),
        content: &file.content,
        metadata: attributes.metadata,
        datatypes: attributes.datatypes,
    };
    match store_file(shared, file) {
        Ok(id) => json(StatusCode::CREATED, &Created { id, url: None }),
        Err(_) => crash(),
    }
}

/// A complete file to store.
pub(crate) struct NewFile<'a> {
    pub(crate) member: usize,
    pub(crate) project: u64,
    pub(crate) basename: &'a str,
    pub(crate) content: &'a [u8],
    pub(crate) metadata: Value,
    pub(crate) datatypes: Vec<u64>,
}

/// Stores a complete file and returns its id.
pub(crate) fn store_file(shared: &Shared, file: NewFile<'_>) -> std::io::Result<u64> {
    let created = shared.clock.now();
    let object = ObjectStore::new_path(&source(file.project), file.basename);
    shared.objects.put_bytes(&object, file.content, created)?;
    Ok(shared.db().add_file(|id| DataFile {
        id,
        member: file.member,
        project: file.project,
        basename: file.basename.to_owned(),
        created,
        datatypes: file.datatypes,
        metadata: file.metadata,
        object,
        complete: true,
    }))
}

/// Sanitizes a file name like the server: keeps the last segment of a path, replaces blanks by
/// underscores, and removes all characters except letters, digits and `-_.`.
fn sanitized(name: &str) -> String {
    let name = name
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or_default()
        .trim()
        .replace(' ', "_");
    name.chars()
        .filter(|letter| letter.is_alphanumeric() || "-_.".contains(*letter))
        .collect()
}

/// `POST project/files/upload/direct/`
pub(crate) fn direct(shared: &Shared, caller: Caller, params: &Params) -> Response {
    let created = shared.clock.now();
    let mut db = shared.db();
    let member = match caller.member(&db, params) {
        Ok(index) => index,
        Err(response) => return *response,
    };
    let mut errors = FormErrors::default();
    let attributes = match attributes(params, &mut errors) {
        Ok(attributes) => attributes,
        Err(crash) => return *crash,
    };
    let filename = params.text("filename");
    match &filename {
        None => errors.add("filename", "This field is required."),
        Some(name) if name.contains('\0') => {
            errors.add("filename", "Null characters are not allowed.")
        }
        Some(_) => {}
    }
    if let Some(response) = errors.into_response() {
        return response;
    }
    let filename = filename.unwrap_or_default();
    let object = ObjectStore::new_path(&source(PROJECT), &filename);
    if object.chars().count() > MAX_PATH {
        return crash();
    }
    let url = Some(shared.objects.put_link(&object, created));
    let basename = filename.rsplit('/').next().unwrap_or_default().to_owned();
    let Attributes {
        metadata,
        datatypes,
    } = attributes;
    let id = db.add_file(|id| DataFile {
        id,
        member,
        project: PROJECT,
        basename,
        created,
        datatypes,
        metadata,
        object,
        complete: false,
    });
    json(StatusCode::CREATED, &Created { id, url })
}

#[derive(Serialize)]
struct Completed {
    status: &'static str,
    size: u64,
}

/// `POST project/files/upload/complete/`
///
/// The server does not check whether the file belongs to the caller.
pub(crate) fn complete(shared: &Shared, caller: Caller, params: &Params) -> Response {
    let mut db = shared.db();
    if let Err(response) = caller.member(&db, params) {
        return *response;
    }
    let id = match params.text("file_id").map(|text| text.parse::<i128>()) {
        None => return detail(StatusCode::BAD_REQUEST, "file does not exist"),
        Some(Err(_)) => return field_error("file_id", "Enter a whole number."),
        Some(Ok(id)) => id,
    };
    let Some(file) = u64::try_from(id).ok().and_then(|id| db.files.get_mut(&id)) else {
        return crash();
    };
    let Some(content) = shared.objects.get(&file.object) else {
        return detail(StatusCode::BAD_REQUEST, "file not present");
    };
    file.complete = true;
    json(
        StatusCode::OK,
        &Completed {
            status: "ok",
            size: content.size,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sanitized_removes_path_and_special_characters() {
        assert_eq!(sanitized("a b.txt"), "a_b.txt");
        assert_eq!(sanitized("../../etc/passwd"), "passwd");
        assert_eq!(sanitized("back\\slash.txt"), "slash.txt");
        assert_eq!(sanitized("a b+c&d.txt"), "a_bcd.txt");
        assert_eq!(sanitized("naïve-日本.txt"), "naïve-日本.txt");
    }
}
