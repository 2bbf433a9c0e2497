//! One request to a page: who asks for what, in which form and language.

use http::request::Parts;
use maud::{Markup, html};

use crate::open_humans::Inner;
use crate::pages::accept::{self, Form};
use crate::pages::settings::Pages;
use crate::pages::texts::{Language, Text};
use crate::{OpenHumans, Timestamp};

/// Everything a page needs to know of a request.
pub(super) struct Context<'a> {
    pub(super) openhumans: &'a OpenHumans,
    pub(super) pages: &'a Pages,
    pub(super) head: &'a Parts,
    pub(super) form: Form,
    language: &'a Language,
    /// The mount path as a browser sees it, without a trailing slash.
    pub(super) base: String,
}

impl<'a> Context<'a> {
    pub(super) fn new(openhumans: &'a OpenHumans, pages: &'a Pages, head: &'a Parts) -> Self {
        let base = openhumans.settings().route_path("");
        Self {
            openhumans,
            pages,
            head,
            form: accept::form(&head.headers),
            language: pages.speak(&head.headers),
            base: base.trim_end_matches('/').to_owned(),
        }
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.openhumans.inner
    }

    pub(super) fn now(&self) -> Timestamp {
        self.inner().clock.now()
    }

    pub(super) fn language_tag(&self) -> &str {
        &self.language.tag
    }

    /// A text, with the app's name filled in.
    pub(super) fn say(&self, text: Text) -> String {
        self.fill(text, &[])
    }

    /// A text with the app's name and these values filled in.
    pub(super) fn fill(&self, text: Text, values: &[(&str, &str)]) -> String {
        let mut all = vec![("app", self.pages.name.as_str())];
        all.extend_from_slice(values);
        self.language.fill(text, &all)
    }

    /// The address of one of the pages: `/files` and so on.
    pub(super) fn path(&self, path: &str) -> String {
        match path {
            "/" => self.base.clone(),
            path => format!("{}{path}", self.base),
        }
    }

    /// A parameter of the query, the first of its name.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        let query = self.head.uri.query().unwrap_or_default();
        url::form_urlencoded::parse(query.as_bytes())
            .find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    }

    /// What came of what was done last. A code and no text: nobody can put words into our mouth.
    pub(super) fn notice(&self) -> Option<String> {
        let text = match self.query("done")?.as_str() {
            "uploaded" => Text::DoneUploaded,
            "edited" => Text::DoneEdited,
            "edited-twice" => Text::DoneEditedTwice,
            "deleted" => Text::DoneDeleted,
            "deleted-all" => Text::DoneDeletedAll,
            "disconnected" => Text::DoneDisconnected,
            "erasing" => Text::DoneErasing,
            "requeued" => Text::DoneRequeued,
            "released" => Text::DoneReleased,
            "released-all" => Text::DoneReleasedAll,
            _ => return None,
        };
        Some(self.say(text))
    }

    /// A moment, for people and for programs.
    pub(super) fn time(&self, at: Timestamp) -> Markup {
        html! { time datetime=(at) { (minute(at)) " UTC" } }
    }

    /// A size in bytes.
    pub(super) fn size(&self, bytes: u64) -> String {
        const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
        let mut unit = 0;
        let mut divisor = 1_u64;
        while bytes / divisor >= 1000 && unit + 1 < UNITS.len() {
            divisor *= 1000;
            unit += 1;
        }
        let (whole, tenth) = (bytes / divisor, bytes % divisor * 10 / divisor);
        if unit == 0 || whole >= 100 {
            return format!("{whole} {}", UNITS[unit]);
        }
        format!(
            "{whole}{}{tenth} {}",
            self.say(Text::DecimalMark),
            UNITS[unit]
        )
    }
}

/// `2026-11-24 12:33`
pub(super) fn minute(at: Timestamp) -> String {
    at.to_string()
        .get(..16)
        .unwrap_or_default()
        .replace('T', " ")
}

/// A duration in its largest unit, whole: `3 min`, `2 d`.
pub(super) fn span(duration: std::time::Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}
