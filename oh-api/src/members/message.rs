//! Messages to members, which Open Humans sends as e-mail.

use std::collections::HashSet;

use serde::Serialize;

use crate::members::member::MemberClient;
use crate::members::project::ProjectClient;
use crate::members::template;
use crate::rest::call::{Call, Repeat};
use crate::{Error, ProjectMemberId};

/// A message to members.
///
/// Open Humans replaces `{{ PROJECT_MEMBER_ID }}` by the recipient's id, and also interprets
/// everything else in `{{ }}` or `{% %}` as a template. It accepts a malformed template and never
/// delivers it, and replaces unknown variables by nothing. Such messages are rejected here, unless
/// [`as_template`](Self::as_template) allows them.
///
/// ```
/// use oh_api::Message;
///
/// let message = Message::new("Your results are in, {{ PROJECT_MEMBER_ID }}.").subject("Results");
/// # let _ = message;
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    #[serde(rename = "message")]
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip)]
    template: bool,
}

impl Message {
    /// Creates a message with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            subject: None,
            template: false,
        }
    }

    /// Sets the subject. Open Humans has a default subject.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Declares the text a valid Django template, which is not checked.
    #[must_use]
    pub fn as_template(mut self) -> Self {
        self.template = true;
        self
    }

    /// Validates the message. Sending also does.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for an empty message, a NUL character, a malformed template, or a
    /// subject of several lines.
    pub fn check(&self) -> Result<(), Error> {
        let reject = |argument, reason: &str| Err(Error::invalid_input(argument, reason));
        if self.text.trim().is_empty() {
            return reject("message", "it is empty");
        }
        if self.text.contains('\0') {
            return reject("message", "it contains a NUL character");
        }
        if let (false, Some(reason)) = (self.template, template::problem(&self.text)) {
            return reject("message", &reason);
        }
        let subject = self.subject.as_deref().unwrap_or_default();
        if subject.contains(['\r', '\n', '\0']) {
            return reject("subject", "it has more than one line");
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct MessageBody<'a> {
    #[serde(flatten)]
    message: &'a Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    all_members: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_member_ids: Option<&'a [ProjectMemberId]>,
}

fn call(sent: &MessageBody<'_>) -> Result<Call, Error> {
    sent.message.check()?;
    Call::post(
        "message",
        "/api/direct-sharing/project/message/",
        Repeat::IfUnprocessed,
    )
    .json(sent)
}

impl MemberClient {
    /// Sends the member a message. On success it is queued, not yet delivered.
    ///
    /// The message is sent at most once: a call that the server may have processed is not repeated.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for an empty message or a subject of several lines;
    /// [`Error::Deauthorized`] if the member has left.
    pub async fn message(&self, message: &Message) -> Result<(), Error> {
        let ids = self.on_behalf_of.as_ref().map(std::slice::from_ref);
        let call = call(&MessageBody {
            message,
            all_members: None,
            project_member_ids: ids,
        })?;
        let sent = self.ask(&call).await.map(|_| ());
        match sent {
            Err(error) if is_not_a_member(&error) => Err(Error::Deauthorized),
            sent => sent,
        }
    }
}

impl ProjectClient {
    /// Sends a message to several members. On success it is queued. If one of the ids is not an
    /// active member's, nobody receives the message.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for an empty list, a duplicate, or an id without 8 or 16 digits;
    /// [`Error::BadRequest`] with the ids that are not members.
    pub async fn message(
        &self,
        members: &[ProjectMemberId],
        message: &Message,
    ) -> Result<(), Error> {
        check_ids(members)?;
        let call = call(&MessageBody {
            message,
            all_members: None,
            project_member_ids: Some(members),
        })?;
        self.ask(&call).await.map(|_| ())
    }

    /// Sends a message to all members. On success it is queued.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for an empty message or a subject of several lines.
    pub async fn message_all(&self, message: &Message) -> Result<(), Error> {
        let call = call(&MessageBody {
            message,
            all_members: Some(true),
            project_member_ids: None,
        })?;
        self.ask(&call).await.map(|_| ())
    }
}

/// Whether Open Humans rejected an id because it is not an active member's.
pub(crate) fn is_not_a_member(error: &Error) -> bool {
    let problem = error.field("project_member_ids");
    problem.is_some_and(|problem| problem.starts_with("Invalid project member ID"))
}

pub(crate) fn check_ids(members: &[ProjectMemberId]) -> Result<(), Error> {
    let reject = |reason: String| Err(Error::invalid_input("project_member_ids", reason));
    if members.is_empty() {
        return reject("the list is empty".into());
    }
    let mut seen = HashSet::new();
    for member in members {
        if !matches!(member.as_str().len(), 8 | 16) {
            return reject(format!("{member} does not have 8 or 16 digits"));
        }
        if !seen.insert(member) {
            return reject(format!("{member} is a duplicate"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::MockTransport;
    use crate::transport::TransportError;

    fn id(text: &str) -> ProjectMemberId {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn message_names_its_recipients() {
        let mock = MockTransport::new();
        let project = mock.client().project("master");
        let hello = Message::new("hello").subject("hi");
        for _ in 0..4 {
            mock.respond(200, "\"success\"");
        }
        project.message_all(&hello).await.unwrap();
        let two = [id("01026778"), id("0000000000169953")];
        project.message(&two, &hello).await.unwrap();
        project.member(&two[0]).message(&hello).await.unwrap();
        mock.client().member("t").message(&hello).await.unwrap();
        let bodies: Vec<_> = mock.requests().into_iter().map(|r| r.into_body()).collect();
        assert_eq!(
            bodies,
            [
                r#"{"message":"hello","subject":"hi","all_members":true}"#,
                r#"{"message":"hello","subject":"hi","project_member_ids":["01026778","0000000000169953"]}"#,
                r#"{"message":"hello","subject":"hi","project_member_ids":["01026778"]}"#,
                r#"{"message":"hello","subject":"hi"}"#,
            ]
        );
    }

    #[tokio::test]
    async fn message_rejects_invalid_input_before_sending() {
        let mock = MockTransport::new();
        let project = mock.client().project("master");
        let hello = Message::new("hello");
        for (ids, message) in [
            (vec![], &hello),
            (vec![id("01026778"), id("01026778")], &hello),
            (vec![id("123")], &hello),
            (vec![id("0102677801")], &hello),
            (vec![id("01026778")], &Message::new(" \n")),
            (vec![id("01026778")], &Message::new("{% nosuch %}")),
            (
                vec![id("01026778")],
                &Message::new("a").subject("b\nBcc: c"),
            ),
        ] {
            let error = project.message(&ids, message).await.unwrap_err();
            assert!(matches!(error, Error::InvalidInput { .. }), "{error}");
        }
        assert!(mock.requests().is_empty());
        mock.respond(200, "\"success\"");
        let meant = Message::new("{% now 'Y' %}").as_template();
        project.message_all(&meant).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn message_is_repeated_only_if_not_processed() {
        let mock = MockTransport::new();
        mock.respond(500, "<html>");
        let error = mock.client().member("t").message(&Message::new("m")).await;
        assert!(matches!(error, Err(Error::Server { .. })));
        mock.respond(429, "")
            .respond_with(|| Err(TransportError::unprocessed("GOAWAY")))
            .respond(200, "\"success\"");
        let sent = mock.client().member("t").message(&Message::new("m")).await;
        sent.unwrap();
    }

    #[tokio::test]
    async fn message_to_former_member_is_deauthorized() {
        let mock = MockTransport::new();
        mock.respond(
            400,
            r#"{"errors":{"project_member_ids":["Invalid project member ID(s): 01026778"]}}"#,
        );
        let member = mock.client().project("m").member(&id("01026778"));
        let error = member.message(&Message::new("m")).await;
        assert!(matches!(error, Err(Error::Deauthorized)));
    }
}
