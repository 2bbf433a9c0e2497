//! The name, logo, stylesheet and first page of the application.

use maud::{DOCTYPE, Markup, html};
use oh_core::Member;

use crate::users::User;

/// The name of the application.
pub const NAME: &str = "Night log";

/// The logo, which the Open Humans pages show beside the name.
pub const LOGO: &str = include_str!("../static/logo.svg");

/// The stylesheet, which also sets the colors of the Open Humans pages.
pub const STYLESHEET: &str = include_str!("../static/brand.css");

/// The `Content-Security-Policy` of the application's own pages.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Renders the first page: a login link, or links for the logged-in member.
pub fn home(member: Option<(&Member, User)>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (NAME) }
                link rel="icon" type="image/svg+xml" href="/static/logo.svg";
                link rel="stylesheet" href="/static/brand.css";
            }
            body.home {
                main {
                    p { img src="/static/logo.svg" alt="" width="56" height="56"; }
                    h1 { (NAME) }
                    p { "Track your sleep. Your nights are stored in your own Open Humans account." }
                    @match member {
                        None => p { a.button #login href="/openhumans/login?next=/" { "Log in with Open Humans" } },
                        Some((member, user)) => {
                            p {
                                "You are " strong #username { (member.username().unwrap_or("a member")) }
                                ". You have logged in " span #logins { (user.logins) } " times."
                            }
                            p {
                                a.button #files-link href="/openhumans/files" { "Your files" } " "
                                a #connection href="/openhumans" { "Your connection" }
                            }
                        }
                    }
                }
            }
        }
    }
}
