//! Uploads: in one request, or in three through the object store.

use http::StatusCode;
use serde::{Serialize, Serializer};
use serde_json::{Value, json as object};

use super::caller::Caller;
use super::datatypes;
use super::metadata::{self, Invalid};
use crate::objects::ObjectStore;
use crate::state::Shared;
use crate::state::database::{DataFile, PROJECT, source};
use crate::web::call::{Call, RequestBody};
use crate::web::params::{MAX_REQUEST_BODY, Param, Params};
use crate::web::respond::{ApiResult, ErrorResponse, crash, detail, field_error, json, ok};

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

    fn check(self) -> Result<(), ErrorResponse> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(json(StatusCode::BAD_REQUEST, &self).into()),
        }
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
            Err(metadata::unreadable())
        } else {
            metadata::parse(&text)
        }
    }) {
        None => errors.add("metadata", "This field is required."),
        Some(Ok(metadata)) => attributes.metadata = metadata,
        Some(Err(Invalid::Field(text))) => errors.add("metadata", &text),
        Some(Err(Invalid::Crash)) => return Err(crash().into()),
    }
    match params.text("datatypes").map(|text| datatypes::parse(&text)) {
        None => {}
        Some(Ok(datatypes)) => attributes.datatypes = datatypes,
        Some(Err(Invalid::Field(text))) => errors.add("datatypes", &text),
        Some(Err(Invalid::Crash)) => return Err(crash().into()),
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
pub(crate) fn simple(shared: &Shared, call: &Call, caller: Caller, params: &Params) -> ApiResult {
    let too_large = match &call.body {
        RequestBody::TooLarge => true,
        RequestBody::Whole(body) => body.len() > MAX_REQUEST_BODY,
    };
    if too_large {
        return Err(crash().into());
    }
    let member = caller.member(&shared.db(), params)?;
    let mut errors = FormErrors::default();
    let attributes = attributes(params, &mut errors)?;
    let file = params.file("data_file");
    match file {
        None => errors.add("data_file", "This field is required."),
        Some(file) if file.content.is_empty() => {
            errors.add("data_file", "The submitted file is empty.");
        }
        Some(_) => {}
    }
    errors.check()?;
    let file = file.ok_or_else(crash)?;
    let file = NewFile {
        member,
        project: PROJECT,
        basename: &sanitized(&file.file_name),
        content: &file.content,
        metadata: attributes.metadata,
        datatypes: attributes.datatypes,
    };
    let id = store_file(shared, file).map_err(|_| crash())?;
    Ok(json(StatusCode::CREATED, &Created { id, url: None }))
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
pub(crate) fn direct(shared: &Shared, caller: Caller, params: &Params) -> ApiResult {
    let created = shared.clock.now();
    let mut db = shared.db();
    let member = caller.member(&db, params)?;
    let mut errors = FormErrors::default();
    let attributes = attributes(params, &mut errors)?;
    let filename = params.text("filename").unwrap_or_default();
    if filename.is_empty() {
        errors.add("filename", "This field is required.");
    } else if filename.contains('\0') {
        errors.add("filename", "Null characters are not allowed.");
    }
    errors.check()?;
    let object = ObjectStore::new_path(&source(PROJECT), &filename);
    if object.chars().count() > MAX_PATH {
        return Err(crash().into());
    }
    let url = Some(shared.objects.put_link(&object, created));
    let basename = filename.rsplit('/').next().unwrap_or_default().to_owned();
    let id = db.add_file(|id| DataFile {
        id,
        member,
        project: PROJECT,
        basename,
        created,
        datatypes: attributes.datatypes,
        metadata: attributes.metadata,
        object,
        complete: false,
    });
    Ok(json(StatusCode::CREATED, &Created { id, url }))
}

/// `POST project/files/upload/complete/`
///
/// The server does not check whether the file belongs to the caller.
pub(crate) fn complete(shared: &Shared, caller: Caller, params: &Params) -> ApiResult {
    let mut db = shared.db();
    caller.member(&db, params)?;
    let bad_request = |text| detail(StatusCode::BAD_REQUEST, text);
    let id = params.text("file_id");
    let id = id.ok_or_else(|| bad_request("file does not exist"))?;
    let id = id.parse::<i128>();
    let id = id.map_err(|_| field_error("file_id", "Enter a whole number."))?;
    let file = u64::try_from(id).ok().and_then(|id| db.files.get_mut(&id));
    let file = file.ok_or_else(crash)?;
    let content = shared.objects.get(&file.object);
    let content = content.ok_or_else(|| bad_request("file not present"))?;
    file.complete = true;
    Ok(ok(&object!({ "status": "ok", "size": content.size })))
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
