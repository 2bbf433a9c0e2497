//! The member's page: who is connected, since when, and what is shared.

use std::time::Duration;

use maud::{Markup, html};

use super::context::Context;
use super::listing;
use super::reply::{self, Outcome};
use crate::pages::texts::Text;
use crate::pages::view::{HomePage, Page};
use crate::session::Member;

/// How long Open Humans may take to say what is shared.
const PATIENCE: Duration = Duration::from_secs(5);

/// The page for someone who is not logged in: a way in.
pub(super) fn nobody(cx: &Context<'_>) -> Outcome {
    let home = HomePage {
        connections_url: connections(cx),
        ..HomePage::default()
    };
    reply::page(Page::Home(home))
}

pub(super) async fn member(cx: &Context<'_>, member: &Member) -> Outcome {
    let record = cx.inner().store.load(member.id()).await?;
    let client = cx.openhumans.member_client(member.id());
    let asked = async {
        let (who, source) =
            tokio::join!(client.exchange_member(), listing::own_source(cx, &client));
        let mut shared = who?.sources_shared;
        shared.retain(|name| Some(name.as_str()) != source);
        Ok::<_, crate::Error>(shared)
    };
    let sources_shared = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(shared)) => Some(shared),
        Ok(Err(crate::Error::Deauthorized)) => return Err(crate::Error::Deauthorized.into()),
        Ok(Err(error)) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "Open Humans could not be asked what a member shares");
            None
        }
        Err(_) => None,
    };
    let home = HomePage {
        connected: true,
        project_member_id: Some(member.id().clone()),
        username: member.username().map(str::to_owned),
        since: record.map(|record| record.authorized_at),
        sources_shared,
        connections_url: connections(cx),
    };
    reply::page(Page::Home(home))
}

fn connections(cx: &Context<'_>) -> String {
    let base = cx.openhumans.settings().oh_base_url().as_str();
    format!("{}/member/me/connections/", base.trim_end_matches('/'))
}

pub(super) fn html(cx: &Context<'_>, home: &HomePage) -> Markup {
    if !home.connected {
        return html! {
            h1 { (cx.say(Text::WelcomeTitle)) }
            p.lead { (cx.say(Text::WelcomeText)) }
            form method="post" action=(cx.path("/login?next=") + &encoded(&cx.path("/"))) {
                button #login { (cx.say(Text::LogIn)) }
            }
        };
    }
    html! {
        h1 { (cx.say(Text::YourConnection)) }
        section.card {
            dl.facts {
                dt { (cx.say(Text::ConnectedAs)) }
                dd {
                    @match &home.username {
                        Some(name) => strong #whoami { (name) },
                        None => span #whoami { (cx.say(Text::NameNotShared)) },
                    }
                }
                @if let Some(id) = &home.project_member_id {
                    dt { (cx.say(Text::MemberId)) }
                    dd { code #member-id { (id) } }
                }
                @if let Some(since) = home.since {
                    dt { (cx.say(Text::ConnectedSince)) }
                    dd { (cx.time(since)) }
                }
            }
        }
        section.card {
            h2 { (cx.say(Text::Shared)) }
            (shared(cx, home.sources_shared.as_deref()))
            p { a href=(home.connections_url) { (cx.say(Text::ChangeAtOpenHumans)) } }
        }
        div.grid {
            section.card {
                h2 { (cx.say(Text::LogOut)) }
                p.soft { (cx.say(Text::LogOutText)) }
                form method="post" action=(cx.path("/logout")) {
                    button.quiet #logout { (cx.say(Text::LogOut)) }
                }
            }
            section.card {
                h2 { (cx.say(Text::Leave)) }
                p.soft { (cx.say(Text::LeaveText)) }
                p { a.button.quiet.danger #disconnect href=(cx.path("/disconnect")) { (cx.say(Text::Disconnect)) } }
            }
        }
    }
}

fn shared(cx: &Context<'_>, sources: Option<&[String]>) -> Markup {
    match sources {
        None => html! { p.soft { (cx.say(Text::SharedUnknown)) } },
        Some([]) => html! { p { (cx.say(Text::SharedNothing)) } },
        Some(sources) => html! {
            p { (cx.say(Text::SharedText)) }
            ul #shared { @for source in sources { li { code { (source) } } } }
        },
    }
}

fn encoded(path: &str) -> String {
    url::form_urlencoded::byte_serialize(path.as_bytes()).collect()
}
