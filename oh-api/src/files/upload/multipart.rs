//! A multipart form with one file, in memory (RFC 7578).

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderValue;

use super::FormFields;
use crate::{ProjectMemberId, random};

pub(super) struct Form {
    pub(super) content_type: HeaderValue,
    pub(super) bytes: Bytes,
}

pub(super) fn form(fields: &FormFields, member: Option<&ProjectMemberId>, file: &Bytes) -> Form {
    let boundary = random::hex();
    let mut bytes = BytesMut::with_capacity(file.len() + fields.metadata.len() + 1_024);
    let mut part = |disposition: &str, content: &[u8]| {
        let head = format!("--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
        bytes.put_slice(head.as_bytes());
        bytes.put_slice(content);
        bytes.put_slice(b"\r\n");
    };
    if let Some(member) = member {
        part("name=\"project_member_id\"", member.as_str().as_bytes());
    }
    part("name=\"metadata\"", fields.metadata.as_bytes());
    if let Some(data_types) = &fields.data_types {
        part("name=\"datatypes\"", data_types.as_bytes());
    }
    let name = fields.name.replace('"', "%22");
    let content_type = "Content-Type: application/octet-stream";
    part(
        &format!("name=\"data_file\"; filename=\"{name}\"\r\n{content_type}"),
        file,
    );
    bytes.put_slice(format!("--{boundary}--\r\n").as_bytes());
    let content_type = format!("multipart/form-data; boundary={boundary}");
    Form {
        content_type: HeaderValue::try_from(content_type)
            .expect("hexadecimal digits are valid in a header value"),
        bytes: bytes.freeze(),
    }
}
