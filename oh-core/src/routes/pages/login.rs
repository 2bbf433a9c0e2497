//! The pages around a login: one that failed, one that another site wants begun, and its end.

use maud::{Markup, html};

use super::context::Context;
use crate::Error;
use crate::login::LoginFailure;
use crate::pages::texts::Text;
use crate::pages::view::{LoginPage, LogoutPage};

/// Why there was no login, and the way to try again.
pub(super) fn failed(cx: &Context<'_>, failure: &LoginFailure, login_url: String) -> LoginPage {
    let (title, text) = words(failure);
    let message = match failure {
        LoginFailure::Rejected(rejected) => rejected.reason.clone(),
        _ => cx.say(text),
    };
    LoginPage {
        error: Some(failure.reason()),
        title: cx.say(title),
        message,
        login_url,
    }
}

/// Another site has led the person here, who may not have meant to log in.
pub(super) fn asked(cx: &Context<'_>, login_url: String) -> LoginPage {
    LoginPage {
        error: None,
        title: cx.say(Text::LogInTitle),
        message: cx.say(Text::LogInAsked),
        login_url,
    }
}

fn words(failure: &LoginFailure) -> (Text, Text) {
    match failure {
        LoginFailure::AccessDenied | LoginFailure::Rejected(_) => {
            (Text::RefusedTitle, Text::RefusedText)
        }
        LoginFailure::IncompleteCallback => (Text::IncompleteTitle, Text::IncompleteText),
        LoginFailure::StateMissing => (Text::StateMissingTitle, Text::StateMissingText),
        LoginFailure::StateMismatch => (Text::StateMismatchTitle, Text::StateMismatchText),
        LoginFailure::StateExpired => (Text::ExpiredTitle, Text::ExpiredText),
        LoginFailure::StateUsed => (Text::UsedTitle, Text::UsedText),
        LoginFailure::CodeExpired => (Text::ExpiredTitle, Text::CodeExpiredText),
        LoginFailure::InvalidClient => (Text::NotSetUpTitle, Text::NotSetUpText),
        LoginFailure::Deauthorized => (Text::LeftMeanwhileTitle, Text::LeftMeanwhileText),
        LoginFailure::DeauthPending => (Text::StillLeavingTitle, Text::StillLeavingText),
        LoginFailure::AuthorizationError(_) => (Text::NotAuthorizedTitle, Text::NotAuthorizedText),
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
                    button #login { (cx.say(again)) }
                }
            }
        }
    }
}

pub(super) fn logout_html(cx: &Context<'_>, view: &LogoutPage) -> Markup {
    html! {
        div.narrow {
            h1 { (cx.say(Text::LogOut)) }
            section.card {
                p.soft { (cx.say(Text::LogOutText)) }
                form method="post" action=(view.logout_url) {
                    button #logout { (cx.say(Text::LogOut)) }
                }
            }
        }
    }
}
