//! How the app looks: its name, its logo, its colours, and its first page.

use maud::{DOCTYPE, Markup, html};
use oh_core::Member;

use crate::users::User;

/// The app's name, as members know it.
pub(crate) const NAME: &str = "Night log";

/// The app's logo. It stands beside the name on every page.
pub(crate) const LOGO: &str = include_str!("../static/logo.svg");

/// The app's stylesheet. It comes after that of Open Humans' pages, and gives them its colours.
pub(crate) const STYLE: &str = include_str!("../static/brand.css");

/// What the app's pages may load, and who may frame them: nobody.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The first page: a way in, or what there is.
pub(crate) fn home(member: Option<(&Member, User)>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (NAME) }
                link rel="stylesheet" href="/static/brand.css";
            }
            body.home {
                main {
                    p { img src="/static/logo.svg" alt="" width="56" height="56"; }
                    h1 { (NAME) }
                    p { "How well did you sleep? Keep your nights in your own Open Humans account." }
                    @match member {
                        None => p { a.button #login href="/openhumans/login?next=/" { "Log in with Open Humans" } },
                        Some((member, user)) => {
                            p {
                                "You are " strong #whoami { (member.username().unwrap_or("a member")) }
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
