//! The data types.

use serde::Serialize;
use serde_json::Value;

use super::metadata::Invalid;

/// A data type.
#[derive(Debug)]
pub(crate) struct DataType {
    pub(crate) id: u64,
    pub(crate) name: &'static str,
    pub(crate) parent: Option<u64>,
    pub(crate) uploadable: bool,
    /// Whether the project may upload files of this type.
    pub(crate) registered: bool,
}

pub(crate) const ALL: [DataType; 4] = [
    DataType {
        id: 1,
        name: "All Data",
        parent: None,
        uploadable: false,
        registered: false,
    },
    DataType {
        id: 2,
        name: "GPS",
        parent: Some(1),
        uploadable: true,
        registered: true,
    },
    DataType {
        id: 3,
        name: "Steps",
        parent: Some(1),
        uploadable: true,
        registered: true,
    },
    DataType {
        id: 4,
        name: "Genome",
        parent: Some(1),
        uploadable: true,
        registered: false,
    },
];

/// The JSON representation in the public API.
#[derive(Serialize)]
pub(crate) struct DataTypeView {
    id: u64,
    name: &'static str,
    parent: Option<u64>,
    children: Vec<u64>,
    description: String,
    details: &'static str,
    uploadable: bool,
    source_projects: Vec<String>,
}

impl DataType {
    pub(crate) fn find(id: u64) -> Option<&'static Self> {
        ALL.iter().find(|datatype| datatype.id == id)
    }

    pub(crate) fn path(id: u64) -> String {
        format!("/api/public/datatype/{id}/")
    }

    pub(crate) fn shown(&self) -> DataTypeView {
        let projects = self
            .registered
            .then(|| format!("/api/public/project/{}/", crate::state::database::PROJECT));
        DataTypeView {
            id: self.id,
            name: self.name,
            parent: self.parent,
            children: ALL
                .iter()
                .filter(|other| other.parent == Some(self.id))
                .map(|other| other.id)
                .collect(),
            description: format!("{} data", self.name),
            details: "",
            uploadable: self.uploadable,
            source_projects: projects.into_iter().collect(),
        }
    }
}

/// Parses the data types of an upload, which are ids or names.
pub(crate) fn parse(text: &str) -> Result<Vec<u64>, Invalid> {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return Err(Invalid::Field(format!(
            "Could not parse the uploaded datatypes from: {}",
            repr(&text.into())
        )));
    };
    let named: Vec<Value> = match value {
        Value::Array(items) => items,
        Value::Object(object) => object.into_iter().map(|(key, _)| key.into()).collect(),
        Value::String(text) => text
            .chars()
            .map(|letter| letter.to_string().into())
            .collect(),
        _ => return Err(Invalid::Crash),
    };
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for item in named {
        match find(&item) {
            Some(datatype) => known.push(datatype),
            None => unknown.push(item),
        }
    }
    if !unknown.is_empty() {
        let text = format!(
            "The following datatypes don't match items in our database: {}",
            list(&unknown)
        );
        return Err(Invalid::Field(text));
    }
    let unregistered: Vec<Value> = known
        .iter()
        .filter(|datatype| !datatype.registered)
        .map(|datatype| datatype.id.into())
        .collect();
    if !unregistered.is_empty() {
        let text = format!(
            "The following datatypes aren't registered for this project: {}",
            list(&unregistered)
        );
        return Err(Invalid::Field(text));
    }
    Ok(known.iter().map(|datatype| datatype.id).collect())
}

fn find(item: &Value) -> Option<&'static DataType> {
    if let Some(id) = item.as_u64() {
        return DataType::find(id);
    }
    let text = item.as_str()?;
    match text.parse() {
        Ok(id) => DataType::find(id),
        Err(_) => ALL
            .iter()
            .find(|datatype| datatype.name.eq_ignore_ascii_case(text)),
    }
}

/// Formats a list like Python's `repr`.
fn list(items: &[Value]) -> String {
    format!(
        "[{}]",
        items.iter().map(repr).collect::<Vec<_>>().join(", ")
    )
}

fn repr(item: &Value) -> String {
    match item {
        Value::String(text) => format!("'{text}'"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_error(text: &str) -> String {
        match parse(text) {
            Err(Invalid::Field(error)) => error,
            _ => panic!("expected a field error for {text}"),
        }
    }

    #[test]
    fn parse_accepts_ids_and_names() {
        for text in ["[2]", "[\"2\"]", "[\"gps\"]"] {
            assert!(matches!(parse(text).as_deref(), Ok([2])), "{text}");
        }
        assert!(matches!(parse("[]").as_deref(), Ok([])));
    }

    #[test]
    fn parse_error_formats_list_like_python() {
        assert!(field_error("[4]").ends_with("aren't registered for this project: [4]"));
        assert!(field_error("[999]").ends_with("don't match items in our database: [999]"));
        assert!(field_error("{\"a\":1}").ends_with("in our database: ['a']"));
        assert!(field_error("GPS").ends_with("datatypes from: 'GPS'"));
        assert!(matches!(parse("5"), Err(Invalid::Crash)));
    }
}
