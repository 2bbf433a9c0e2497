//! A whole form with a file in it, in memory (RFC 7578).

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderValue;

use super::Outgoing;
use crate::{ProjectMemberId, random};

/// A form and its content type.
pub(super) struct Form {
    pub(super) content_type: HeaderValue,
    pub(super) bytes: Bytes,
}

pub(super) fn form(outgoing: &Outgoing, member: Option<&ProjectMemberId>, file: &Bytes) -> Form {
    let boundary = random::hex();
    let mut bytes = BytesMut::with_capacity(file.len() + outgoing.metadata.len() + 1_024);
    let mut field = |name: &str, value: &str| {
        bytes.put_slice(
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
            .as_bytes(),
        );
    };
    if let Some(member) = member {
        field("project_member_id", member.as_str());
    }
    field("metadata", &outgoing.metadata);
    if let Some(data_types) = &outgoing.data_types {
        field("datatypes", data_types);
    }
    let name = outgoing.name.replace('"', "%22");
    bytes.put_slice(
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"data_file\"; \
             filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
        .as_bytes(),
    );
    bytes.put_slice(file);
    bytes.put_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let content_type = format!("multipart/form-data; boundary={boundary}");
    Form {
        content_type: HeaderValue::try_from(content_type)
            .expect("hexadecimal digits make a header value"),
        bytes: bytes.freeze(),
    }
}
