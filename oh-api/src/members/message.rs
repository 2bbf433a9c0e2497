//! Messages to members: e-mail that Open Humans sends on the project's behalf.

use std::collections::HashSet;

use serde::Serialize;

use crate::members::member::MemberClient;
use crate::members::project::ProjectClient;
use crate::members::template;
use crate::rest::call::{Call, Repeat};
use crate::{Error, ProjectMemberId};

/// A message. Open Humans replaces `{{ PROJECT_MEMBER_ID }}` in it by the receiver's id, and reads
/// anything else in `{{ }}` or `{% %}` as a template, too: one that is not well formed is accepted
/// and never arrives, and an unknown name leaves a hole. Such messages are refused here, unless
/// [`as_template`](Self::as_template) says that they are meant.
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
    /// A message with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            subject: None,
            template: false,
        }
    }

    /// With a subject. Open Humans has one of its own otherwise.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The text is a Django template that is known to work: it is not looked at.
    #[must_use]
    pub fn as_template(mut self) -> Self {
        self.template = true;
        self
    }

    /// Whether it can be sent and would arrive. Sending checks it, too.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for an empty message, one with a NUL character, one that Open Humans
    /// would choke on as a template, or a subject of several lines.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |argument, reason: &str| {
            Err(Error::InvalidInput {
                argument,
                reason: reason.into(),
            })
        };
        if self.text.trim().is_empty() {
            return refuse("message", "it is empty");
        }
        if self.text.contains('\0') {
            return refuse("message", "it holds a NUL character");
        }
        if let (false, Some(reason)) = (self.template, template::problem(&self.text)) {
            return refuse("message", &reason);
        }
        let subject = self.subject.as_deref().unwrap_or_default();
        if subject.contains(['\r', '\n', '\0']) {
            return refuse("subject", "it has more than one line");
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Sent<'a> {
    #[serde(flatten)]
    message: &'a Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    all_members: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_member_ids: Option<&'a [ProjectMemberId]>,
}

fn call(sent: &Sent<'_>) -> Result<Call, Error> {
    sent.message.check()?;
    Call::post(
        "message",
        "/api/direct-sharing/project/message/",
        Repeat::IfUnprocessed,
    )
    .json(sent)
}

impl MemberClient {
    /// Sends the member a message. Success means that it is queued, not that it has arrived.
    ///
    /// It is sent at most once: after a failure that leaves open whether it was, it is not
    /// repeated.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for an empty message or a subject of several lines;
    /// [`Error::Deauthorized`] when the member has left.
    pub async fn message(&self, message: &Message) -> Result<(), Error> {
        let ids = self.on_behalf_of.as_ref().map(std::slice::from_ref);
        let call = call(&Sent {
            message,
            all_members: None,
            project_member_ids: ids,
        })?;
        let sent = self.ask(&call).await.map(|_| ());
        match sent {
            Err(error) if names_nobody(&error) => Err(Error::Deauthorized),
            sent => sent,
        }
    }
}

impl ProjectClient {
    /// Sends these members a message. Success means queued. One id that is not an active
    /// member's, and nobody gets it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for no ids, an id twice, or one that has not 8 digits;
    /// [`Error::BadRequest`] naming those who are not members.
    pub async fn message(
        &self,
        members: &[ProjectMemberId],
        message: &Message,
    ) -> Result<(), Error> {
        check_ids(members)?;
        let call = call(&Sent {
            message,
            all_members: None,
            project_member_ids: Some(members),
        })?;
        self.ask(&call).await.map(|_| ())
    }

    /// Sends all members a message. Success means queued.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for an empty message or a subject of several lines.
    pub async fn message_all(&self, message: &Message) -> Result<(), Error> {
        let call = call(&Sent {
            message,
            all_members: Some(true),
            project_member_ids: None,
        })?;
        self.ask(&call).await.map(|_| ())
    }
}

/// Whether Open Humans says that an id is not an active member's.
pub(crate) fn names_nobody(error: &Error) -> bool {
    let problem = error.field("project_member_ids");
    problem.is_some_and(|problem| problem.starts_with("Invalid project member ID"))
}

pub(crate) fn check_ids(members: &[ProjectMemberId]) -> Result<(), Error> {
    let refuse = |reason: String| {
        Err(Error::InvalidInput {
            argument: "project_member_ids",
            reason,
        })
    };
    if members.is_empty() {
        return refuse("there is none".into());
    }
    let mut seen = HashSet::new();
    for member in members {
        if member.as_str().len() != 8 {
            return refuse(format!("{member} has not 8 digits"));
        }
        if !seen.insert(member) {
            return refuse(format!("{member} is there twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::MockTransport;

    fn id(text: &str) -> ProjectMemberId {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn says_whom_it_is_for() {
        let mock = MockTransport::new();
        let project = mock.client().project("master");
        let hello = Message::new("hello").subject("hi");
        for _ in 0..4 {
            mock.respond(200, "\"success\"");
        }
        project.message_all(&hello).await.unwrap();
        let two = [id("01026778"), id("00169953")];
        project.message(&two, &hello).await.unwrap();
        project.member(&two[0]).message(&hello).await.unwrap();
        mock.client().member("t").message(&hello).await.unwrap();
        let bodies: Vec<_> = mock.requests().into_iter().map(|r| r.into_body()).collect();
        assert_eq!(
            bodies,
            [
                r#"{"message":"hello","subject":"hi","all_members":true}"#,
                r#"{"message":"hello","subject":"hi","project_member_ids":["01026778","00169953"]}"#,
                r#"{"message":"hello","subject":"hi","project_member_ids":["01026778"]}"#,
                r#"{"message":"hello","subject":"hi"}"#,
            ]
        );
    }

    #[tokio::test]
    async fn refuses_before_sending_what_open_humans_would() {
        let mock = MockTransport::new();
        let project = mock.client().project("master");
        let hello = Message::new("hello");
        for (ids, message) in [
            (vec![], &hello),
            (vec![id("01026778"), id("01026778")], &hello),
            (vec![id("123")], &hello),
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
    async fn is_not_sent_twice_on_a_doubt() {
        let mock = MockTransport::new();
        mock.respond(500, "<html>");
        let error = mock.client().member("t").message(&Message::new("m")).await;
        assert!(matches!(error, Err(Error::Server { .. })));
        // Turned away at the door, it is.
        mock.respond(429, "").respond(200, "\"success\"");
        let sent = mock.client().member("t").message(&Message::new("m")).await;
        sent.unwrap();
    }

    #[tokio::test]
    async fn to_someone_who_has_left() {
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
