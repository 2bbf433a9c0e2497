//! The member page: the connected account and the shared sources.

use std::error::Error as StdError;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use maud::{Markup, html};
use oh_core::{Error, Member, ProjectMemberId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::Page;
use super::files::own_source;
use crate::app::App;
use crate::context::Context;
use crate::error::PageError;
use crate::layout::View;
use crate::layout::{Frame, Section};

/// How long Open Humans may take to report what a member shares.
const SHARED_TIMEOUT: Duration = Duration::from_secs(5);

/// The connected account and the shared sources. All fields are empty without a login.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[non_exhaustive]
pub struct HomePage {
    /// Whether a member is logged in.
    pub connected: bool,
    /// The project member id.
    #[schema(value_type = Option<String>)]
    pub project_member_id: Option<ProjectMemberId>,
    /// The Open Humans username, if the member shares it.
    pub username: Option<String>,
    /// When the member last authorized the project.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// The sources that the member shares with the project, except the project itself; `None` if
    /// Open Humans did not respond.
    pub sources_shared: Option<Vec<String>>,
    /// Where the member can view and change the shared sources.
    pub connections_url: String,
}

/// Shows the connected account and the shared sources
#[utoipa::path(get, path = "/", responses((status = 200, description = "The member", body = HomePage)))]
pub(crate) async fn home(
    State(app): State<App>,
    member: Option<Extension<Member>>,
) -> Result<Page, PageError> {
    let openhumans = app.openhumans();
    let base = openhumans.settings().oh_base_url().as_str();
    let connections_url = format!("{}/member/me/connections/", base.trim_end_matches('/'));
    let Some(Extension(member)) = member else {
        return Ok(HomePage {
            connections_url,
            ..HomePage::default()
        }
        .into());
    };
    let record = openhumans.token_store().load(member.id()).await?;
    Ok(HomePage {
        connected: true,
        project_member_id: Some(member.id().clone()),
        username: member.username().map(str::to_owned),
        since: record.map(|record| record.authorized_at),
        sources_shared: sources_shared(&app, &member).await?,
        connections_url,
    }
    .into())
}

async fn sources_shared(app: &App, member: &Member) -> Result<Option<Vec<String>>, PageError> {
    let client = app.openhumans().member_client(member.id());
    let request = async {
        let (exchange, source) = tokio::join!(client.exchange_member(), own_source(app, &client));
        let mut shared = exchange?.sources_shared;
        shared.retain(|name| Some(name.as_str()) != source);
        Ok(shared)
    };
    match tokio::time::timeout(SHARED_TIMEOUT, request).await {
        Ok(Ok(shared)) => Ok(Some(shared)),
        Ok(Err(Error::Deauthorized)) => Err(Error::Deauthorized.into()),
        Ok(Err(error)) => {
            let error = &error as &dyn StdError;
            tracing::warn!(error, "failed to load the sources that a member shares");
            Ok(None)
        }
        Err(_) => Ok(None),
    }
}

impl View for HomePage {
    fn frame(&self, cx: &Context<'_>) -> Frame {
        let section = match self.connected {
            true => Section::Member,
            false => Section::Public,
        };
        Frame::new(cx.text("home-title"), section, "/")
    }

    fn html(&self, cx: &Context<'_>) -> Markup {
        if !self.connected {
            let next: String =
                url::form_urlencoded::byte_serialize(cx.path("/").as_bytes()).collect();
            return html! {
                h1 { (cx.text("welcome-title")) }
                p.lead { (cx.text("welcome-text")) }
                form method="post" action=(format!("{}?next={next}", cx.path("/login"))) {
                    button #login { (cx.text("log-in")) }
                }
            };
        }
        html! {
            h1 { (cx.text("home-title")) }
            section.card {
                dl.facts {
                    dt { (cx.text("connected-as")) }
                    dd {
                        @match &self.username {
                            Some(name) => strong #username { (name) },
                            None => span #username { (cx.text("username-private")) },
                        }
                    }
                    @if let Some(id) = &self.project_member_id {
                        dt { (cx.text("member-id")) }
                        dd { code #member-id { (id) } }
                    }
                    @if let Some(since) = self.since {
                        dt { (cx.text("connected-since")) }
                        dd { (cx.time(since)) }
                    }
                }
            }
            section.card {
                h2 { (cx.text("shared-title")) }
                (shared(cx, self.sources_shared.as_deref()))
                p { a href=(self.connections_url) { (cx.text("change-sharing")) } }
            }
            div.grid {
                section.card {
                    h2 { (cx.text("log-out")) }
                    p.soft { (cx.text("log-out-text")) }
                    form method="post" action=(cx.path("/logout")) {
                        button.quiet #logout { (cx.text("log-out")) }
                    }
                }
                section.card {
                    h2 { (cx.text("leave-title")) }
                    p.soft { (cx.text("leave-text")) }
                    p { a.button.quiet.danger #disconnect href=(cx.path("/disconnect")) { (cx.text("disconnect")) } }
                }
            }
        }
    }
}

fn shared(cx: &Context<'_>, sources: Option<&[String]>) -> Markup {
    match sources {
        None => html! { p.soft { (cx.text("shared-unknown")) } },
        Some([]) => html! { p { (cx.text("shared-nothing")) } },
        Some(sources) => html! {
            p { (cx.text("shared-sources")) }
            ul #shared { @for source in sources { li { code { (source) } } } }
        },
    }
}
