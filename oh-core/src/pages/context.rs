//! One request to a page: who asks for what, in which form and language.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use maud::{Markup, html};
use url::Url;

use super::accept::{self, Form};
use super::problem::{Outcome, Problem};
use super::settings::{PageContext, Pages};
use super::show;
use super::texts::{Language, Text};
use super::view::{DonePage, Page, ProblemPage};
use crate::open_humans::Inner;
use crate::routes::{Answer, see_other};
use crate::session::SessionChange;
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
            "/" if self.base.is_empty() => "/".into(),
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
            _ => return None,
        };
        Some(self.say(text))
    }

    /// A page, in the form that is wanted.
    pub(super) fn show(&self, status: StatusCode, page: &Page) -> Response<Bytes> {
        let mut response = match self.form {
            Form::Json => json(page),
            Form::Html => self.html(page),
        };
        *response.status_mut() = status;
        let vary = HeaderValue::from_static("accept, accept-language");
        response.headers_mut().insert(header::VARY, vary);
        response
    }

    pub(super) fn ok(&self, page: &Page) -> Outcome<Answer> {
        Ok(Answer::keep(self.show(StatusCode::OK, page)))
    }

    fn html(&self, page: &Page) -> Response<Bytes> {
        let notice = self.notice();
        let around = PageContext {
            app_name: &self.pages.name,
            language: self.language_tag(),
            base: &self.base,
            notice: notice.as_deref(),
        };
        let theirs = self
            .pages
            .renderer
            .as_ref()
            .and_then(|renderer| renderer.render(page, &around));
        let text =
            theirs.unwrap_or_else(|| show::page(self, page, notice.as_deref()).into_string());
        let mut response = Response::new(Bytes::from(text));
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, kind);
        if let Ok(policy) = self.policy().parse() {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        let nosniff = HeaderValue::from_static("nosniff");
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        response
    }

    /// Only what comes from the app's own origin is let in, and nothing inline. Forms may lead to
    /// Open Humans, and to where a logout ends, by a redirect.
    fn policy(&self) -> String {
        let settings = self.openhumans.settings();
        let mut forms = vec!["'self'".to_owned()];
        forms.push(settings.oh_base_url().origin().ascii_serialization());
        if let Ok(url) = Url::parse(&settings.logout_redirect_url) {
            forms.push(url.origin().ascii_serialization());
        }
        format!(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
             connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action {}",
            forms.join(" ")
        )
    }

    /// Something was done: browsers go where they see it, programs are told.
    pub(super) fn done(&self, status: StatusCode, to: &str, done: DonePage) -> Answer {
        self.done_with(status, to, done, SessionChange::Keep)
    }

    pub(super) fn done_with(
        &self,
        status: StatusCode,
        to: &str,
        done: DonePage,
        change: SessionChange,
    ) -> Answer {
        let response = match self.form {
            Form::Json => self.show(status, &Page::Done(done)),
            Form::Html => see_other(&format!("{}?done={}", self.path(to), done.done)),
        };
        Answer::new(response, change)
    }

    pub(super) fn problem(&self, problem: &Problem) -> Answer {
        let message = self.fill(problem.text, &[("why", &problem.why)]);
        let page = Page::Problem(ProblemPage {
            error: problem.code,
            message,
        });
        Answer::keep(self.show(problem.status, &page))
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

/// A value as JSON.
pub(super) fn json(value: &impl serde::Serialize) -> Response<Bytes> {
    let text = serde_json::to_vec(value).expect("views of texts and numbers become JSON");
    let mut response = Response::new(Bytes::from(text));
    let kind = HeaderValue::from_static("application/json");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}
