//! Bringing files: in one request, or in three through the object store.

use axum::response::Response;
use http::StatusCode;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::caller::Caller;
use super::{datatypes, metadata};
use crate::objects::ObjectStore;
use crate::state::Shared;
use crate::state::world::{DataFile, PROJECT, source};
use crate::web::call::{Call, RequestBody};
use crate::web::params::{Param, Params, UPLOAD_LIMIT};
use crate::web::respond::{Refused, crash, detail, field_error, json};

/// What the database holds of a path.
const PATH_LIMIT: usize = 1024;

/// A form's complaints, field by field in the order of the form.
#[derive(Default)]
struct Complaints(Vec<(&'static str, [String; 1])>);

impl Serialize for Complaints {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(field, texts)| (field, texts)))
    }
}

impl Complaints {
    fn add(&mut self, field: &'static str, text: &str) {
        self.0.push((field, [text.to_owned()]));
    }

    fn answer(self) -> Option<Response> {
        (!self.0.is_empty()).then(|| json(StatusCode::BAD_REQUEST, &self))
    }
}

/// What both ways of uploading say about their file.
struct About {
    metadata: Value,
    datatypes: Vec<u64>,
}

fn about(params: &Params, complaints: &mut Complaints) -> Result<About, Refused> {
    let mut about = About {
        metadata: Value::Null,
        datatypes: Vec::new(),
    };
    // In a JSON body too, metadata is a text that holds JSON; an object is none.
    let object = matches!(params.get("metadata"), Some(Param::Json(Value::Object(_))));
    let text = params.text("metadata");
    match text.map(|text| {
        if object {
            Err(metadata::UNREADABLE)
        } else {
            metadata::parse(&text)
        }
    }) {
        None => complaints.add("metadata", "This field is required."),
        Some(Ok(metadata)) => about.metadata = metadata,
        Some(Err(metadata::Wrong::Complaint(text))) => complaints.add("metadata", text),
        Some(Err(metadata::Wrong::Crash(crash))) => return Err(crash),
    }
    match params.text("datatypes").map(|text| datatypes::parse(&text)) {
        None => {}
        Some(Ok(datatypes)) => about.datatypes = datatypes,
        Some(Err(datatypes::Wrong::Complaint(text))) => complaints.add("datatypes", &text),
        Some(Err(datatypes::Wrong::Crash(crash))) => return Err(crash),
    }
    Ok(about)
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
        RequestBody::TooLong => true,
        RequestBody::Whole(body) => body.len() > UPLOAD_LIMIT,
    };
    if too_long {
        return crash();
    }
    let index = match caller.member(&shared.world(), params) {
        Ok(index) => index,
        Err(refusal) => return *refusal,
    };
    let mut complaints = Complaints::default();
    let about = match about(params, &mut complaints) {
        Ok(about) => about,
        Err(crash) => return *crash,
    };
    let file = params.file("data_file");
    match file {
        None => complaints.add("data_file", "This field is required."),
        Some(file) if file.content.is_empty() => {
            complaints.add("data_file", "The submitted file is empty.")
        }
        Some(_) => {}
    }
    if let Some(answer) = complaints.answer() {
        return answer;
    }
    let Some(file) = file else { return crash() };
    let name = sanitized(&file.file_name);
    match store_file(
        shared,
        index,
        PROJECT,
        &name,
        &file.content,
        about.metadata,
        about.datatypes,
    ) {
        Ok(id) => json(StatusCode::CREATED, &Created { id, url: None }),
        Err(_) => crash(),
    }
}

/// Keeps a file that is there in full.
pub(crate) fn store_file(
    shared: &Shared,
    member: usize,
    project: u64,
    basename: &str,
    content: &[u8],
    metadata: Value,
    datatypes: Vec<u64>,
) -> std::io::Result<u64> {
    let created = shared.clock.now();
    let object = ObjectStore::new_path(&source(project), basename);
    shared.objects.put_bytes(&object, content, created)?;
    let basename = basename.to_owned();
    Ok(shared.world().add_file(|id| DataFile {
        id,
        member,
        project,
        basename,
        created,
        datatypes,
        metadata,
        object,
        complete: true,
    }))
}

/// A file name as the server keeps it: the last part of a path, blanks as underscores, and no
/// other characters than letters, digits and `-_.`.
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
    let mut world = shared.world();
    let member = match caller.member(&world, params) {
        Ok(index) => index,
        Err(refusal) => return *refusal,
    };
    let mut complaints = Complaints::default();
    let about = match about(params, &mut complaints) {
        Ok(about) => about,
        Err(crash) => return *crash,
    };
    let filename = params.text("filename");
    match &filename {
        None => complaints.add("filename", "This field is required."),
        Some(name) if name.contains('\0') => {
            complaints.add("filename", "Null characters are not allowed.")
        }
        Some(_) => {}
    }
    if let Some(answer) = complaints.answer() {
        return answer;
    }
    let filename = filename.unwrap_or_default();
    let object = ObjectStore::new_path(&source(PROJECT), &filename);
    if object.chars().count() > PATH_LIMIT {
        return crash();
    }
    let url = Some(shared.objects.put_link(&object, created));
    let basename = filename.rsplit('/').next().unwrap_or_default().to_owned();
    let About {
        metadata,
        datatypes,
    } = about;
    let id = world.add_file(|id| DataFile {
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
/// Whose file it is, the server does not ask.
pub(crate) fn complete(shared: &Shared, caller: Caller, params: &Params) -> Response {
    let mut world = shared.world();
    if let Err(refusal) = caller.member(&world, params) {
        return *refusal;
    }
    let id = match params.text("file_id").map(|text| text.parse::<i128>()) {
        None => return detail(StatusCode::BAD_REQUEST, "file does not exist"),
        Some(Err(_)) => return field_error("file_id", "Enter a whole number."),
        Some(Ok(id)) => id,
    };
    let Some(file) = u64::try_from(id)
        .ok()
        .and_then(|id| world.files.get_mut(&id))
    else {
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
    fn file_names_lose_what_is_dangerous_or_strange() {
        assert_eq!(sanitized("a b.txt"), "a_b.txt");
        assert_eq!(sanitized("../../etc/passwd"), "passwd");
        assert_eq!(sanitized("back\\slash.txt"), "slash.txt");
        assert_eq!(sanitized("a b+c&d.txt"), "a_bcd.txt");
        assert_eq!(sanitized("naïve-日本.txt"), "naïve-日本.txt");
    }
}
