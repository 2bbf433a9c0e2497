//! What the HTML of a page depends on besides its data: language, addresses, time.

use std::time::Duration;

use http::HeaderMap;
use maud::{Markup, html};
use oh_core::{Settings, Timestamp};

use crate::access::Access;
use crate::appearance::Appearance;
use crate::negotiation::{self, Format};
use crate::texts::{Language, Languages};

/// The codes of actions that a page confirms.
const NOTICES: [&str; 10] = [
    "uploaded",
    "edited",
    "edited-duplicate",
    "deleted",
    "deleted-all",
    "disconnected",
    "erasing",
    "requeued",
    "released",
    "released-all",
];

/// The surroundings of one response.
pub(crate) struct Context<'a> {
    pub(crate) appearance: &'a Appearance,
    pub(crate) settings: &'a Settings,
    pub(crate) format: Format,
    pub(crate) language: &'a Language,
    /// The mount path as a browser sees it, without a trailing slash.
    pub(crate) base: String,
    pub(crate) query: &'a str,
    pub(crate) now: Timestamp,
    /// Who may use the route, if the request reached one.
    pub(crate) access: Option<Access>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        appearance: &'a Appearance,
        settings: &'a Settings,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Self {
        Self {
            appearance,
            settings,
            format: negotiation::format(headers),
            language: appearance.languages.negotiate(headers),
            base: base(settings),
            query: "",
            now,
            access: None,
        }
    }

    /// A message.
    pub(crate) fn text(&self, id: &str) -> String {
        self.text_with(id, &[])
    }

    /// A message with arguments. `count` selects plural forms.
    pub(crate) fn text_with(&self, id: &str, arguments: &[(&str, &str)]) -> String {
        self.page_context(None).text(id, arguments)
    }

    /// A message that English may lack.
    pub(crate) fn text_if_present(&self, id: &str) -> Option<String> {
        let values = [("app", self.appearance.name.as_str())];
        self.appearance
            .languages
            .try_format(self.language, id, &values)
    }

    pub(crate) fn page_context<'s>(&'s self, notice: Option<&'s str>) -> PageContext<'s> {
        PageContext {
            app_name: &self.appearance.name,
            language: &self.language.tag,
            base: &self.base,
            notice,
            texts: (&self.appearance.languages, self.language),
        }
    }

    /// The address of a route of the pages, such as `/files`.
    pub(crate) fn path(&self, path: &str) -> String {
        match path {
            "/" => self.base.clone(),
            path => format!("{}{path}", self.base),
        }
    }

    /// The confirmation of the previous action. The query names it by a code, so that a link cannot
    /// put a text of its author's choice on the page.
    pub(crate) fn notice(&self) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.query.as_bytes());
        let (_, code) = pairs.find(|(key, _)| key == "done")?;
        let code = NOTICES.iter().find(|known| **known == code)?;
        Some(self.text(&format!("done-{code}")))
    }

    /// A point in time, to the minute for people and in full for programs.
    pub(crate) fn time(&self, at: Timestamp) -> Markup {
        html! { time datetime=(at) { (minute(at)) " UTC" } }
    }

    /// The time since `at`.
    pub(crate) fn ago(&self, at: Timestamp) -> String {
        duration(self.now.since(at))
    }
}

/// The surroundings of a page.
#[derive(Debug)]
#[non_exhaustive]
pub struct PageContext<'a> {
    /// The name of the application.
    pub app_name: &'a str,
    /// The language that was negotiated, such as `de`.
    pub language: &'a str,
    /// The mount path as a browser sees it, without a trailing slash.
    pub base: &'a str,
    /// The confirmation of the previous action, to show above the page.
    pub notice: Option<&'a str>,
    pub(crate) texts: (&'a Languages, &'a Language),
}

impl PageContext<'_> {
    /// Returns the message `id` in the negotiated language. The argument `count` is a number and
    /// selects plural forms; `app` is always set.
    pub fn text(&self, id: &str, arguments: &[(&str, &str)]) -> String {
        let (languages, language) = self.texts;
        let mut all = vec![("app", self.app_name)];
        all.extend_from_slice(arguments);
        languages.format(language, id, &all)
    }
}

/// The mount path as a browser sees it, without a trailing slash.
pub(crate) fn base(settings: &Settings) -> String {
    settings.route_path("").trim_end_matches('/').to_owned()
}

/// `2026-11-24 12:33`
pub(crate) fn minute(at: Timestamp) -> String {
    at.to_string()
        .get(..16)
        .unwrap_or_default()
        .replace('T', " ")
}

/// A duration in whole units: `3 min`, `2 d`.
pub(crate) fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}
