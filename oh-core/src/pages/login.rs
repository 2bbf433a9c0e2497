//! The pages around a login: one that failed, and one that another site wants begun.

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use maud::{Markup, html};

use super::context::Context;
use super::texts::Text;
use super::view::{LoginPage, Page};
use crate::login::LoginFailure;
use crate::{Error, OpenHumans};

/// Why there was no login, and the way to try again.
pub(crate) fn login_failed(
    openhumans: &OpenHumans,
    head: &Parts,
    failure: &LoginFailure,
    login_url: String,
) -> Option<Response<Bytes>> {
    let pages = openhumans.inner.pages.as_ref()?;
    let cx = Context::new(openhumans, pages, head);
    let (title, text) = words(failure);
    let message = match failure {
        LoginFailure::App(refusal) => refusal.reason.clone(),
        _ => cx.say(text),
    };
    let page = Page::Login(LoginPage {
        error: Some(failure.reason()),
        title: cx.say(title),
        message,
        login_url,
    });
    Some(cx.show(failure.status(), &page))
}

/// Another site has led the person here, who may not have meant to log in.
pub(crate) fn ask_first(
    openhumans: &OpenHumans,
    head: &Parts,
    status: StatusCode,
    login_url: String,
) -> Option<Response<Bytes>> {
    let pages = openhumans.inner.pages.as_ref()?;
    let cx = Context::new(openhumans, pages, head);
    let page = Page::Login(LoginPage {
        error: None,
        title: cx.say(Text::LogInTitle),
        message: cx.say(Text::LogInAsked),
        login_url,
    });
    Some(cx.show(status, &page))
}

fn words(failure: &LoginFailure) -> (Text, Text) {
    match failure {
        LoginFailure::AccessDenied | LoginFailure::App(_) => {
            (Text::RefusedTitle, Text::RefusedText)
        }
        LoginFailure::Incomplete => (Text::IncompleteTitle, Text::IncompleteText),
        LoginFailure::StateMissing => (Text::StateMissingTitle, Text::StateMissingText),
        LoginFailure::StateMismatch => (Text::StateMismatchTitle, Text::StateMismatchText),
        LoginFailure::StateExpired => (Text::ExpiredTitle, Text::ExpiredText),
        LoginFailure::StateUsed => (Text::UsedTitle, Text::UsedText),
        LoginFailure::CodeExpired => (Text::ExpiredTitle, Text::CodeExpiredText),
        LoginFailure::ClientRefused => (Text::NotSetUpTitle, Text::NotSetUpText),
        LoginFailure::LeftMeanwhile => (Text::LeftMeanwhileTitle, Text::LeftMeanwhileText),
        LoginFailure::NotAuthorized(_) => (Text::NotAuthorizedTitle, Text::NotAuthorizedText),
        LoginFailure::OpenHumans(Error::Timeout) => (Text::UnreachableTitle, Text::SlowProblem),
        LoginFailure::OpenHumans(_) => (Text::UnreachableTitle, Text::OpenHumansProblem),
        LoginFailure::Store(_) => (Text::LoginStoreTitle, Text::LoginStoreText),
    }
}

pub(super) fn html(cx: &Context<'_>, view: &LoginPage) -> Markup {
    let again = match view.error {
        Some(_) => Text::TryAgain,
        None => Text::LogIn,
    };
    html! {
        div.narrow {
            h1 { (view.title) }
            section.card {
                p #message { (view.message) }
                form method="post" action=(view.login_url) {
                    div.row {
                        button #login { (cx.say(again)) }
                        a.button.quiet href=(cx.pages.home) { (cx.say(Text::BackToApp)) }
                    }
                }
            }
        }
    }
}
