//! What an app says of its pages: its name, its look, its languages, its staff.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::request::Parts;
use moka::sync::Cache;
use tokio::sync::OnceCell;

use super::accept;
use super::route::PageRoute;
use super::texts::{Language, Text};
use super::view::Page;
use crate::Member;

/// The largest file the object store takes in one piece: 5 GiB.
const MAX_UPLOAD: u64 = 5 << 30;

/// Files whose sizes are remembered.
const SIZES: u64 = 100_000;

/// The pages of an app. See the [module](super) for an example.
#[must_use]
pub struct Pages {
    pub(crate) name: String,
    pub(crate) logo: Option<String>,
    pub(crate) stylesheet: Option<String>,
    pub(crate) home: String,
    pub(crate) max_upload: u64,
    pub(crate) staff: Option<Arc<dyn StaffGuard>>,
    pub(crate) renderer: Option<Arc<dyn PageRenderer>>,
    languages: Vec<Language>,
    /// Open Humans does not list sizes, and they do not change.
    pub(crate) sizes: Cache<u64, u64>,
    /// The name that the project's own files have as a source.
    pub(crate) source: OnceCell<Option<String>>,
}

impl Pages {
    /// Pages of an app of this name, as its members know it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            logo: None,
            stylesheet: None,
            home: "/".into(),
            max_upload: MAX_UPLOAD,
            staff: None,
            renderer: None,
            languages: vec![Language::english(), Language::german()],
            sizes: Cache::new(SIZES),
            source: OnceCell::new(),
        }
    }

    /// The path of a picture that stands beside the name, on the app's own origin.
    pub fn logo(mut self, path: impl Into<String>) -> Self {
        self.logo = Some(path.into());
        self
    }

    /// The path of a stylesheet that comes after ours, on the app's own origin. Colours are custom
    /// properties of `:root`: `--accent`, `--ground`, `--card`, `--ink` and others.
    pub fn stylesheet(mut self, path: impl Into<String>) -> Self {
        self.stylesheet = Some(path.into());
        self
    }

    /// Where the way back to the app leads. Default `/`.
    pub fn home(mut self, path: impl Into<String>) -> Self {
        self.home = path.into();
        self
    }

    /// The largest file to upload, in bytes. Default 5 GiB, which is what the object store takes.
    pub fn max_upload(mut self, bytes: u64) -> Self {
        self.max_upload = bytes.min(MAX_UPLOAD);
        self
    }

    /// Who may see the desk. Without this nobody may: its routes are not even there.
    pub fn staff(mut self, guard: impl StaffGuard) -> Self {
        self.staff = Some(Arc::new(guard));
        self
    }

    /// Pages of the app's own in place of ours.
    pub fn renderer(mut self, renderer: impl PageRenderer) -> Self {
        self.renderer = Some(Arc::new(renderer));
        self
    }

    /// Another language, by its tag (RFC 5646), or other words in one of ours. What `table` gives
    /// nothing for is said in English, or as it was before.
    ///
    /// ```
    /// use oh_core::pages::{Pages, Text};
    ///
    /// let pages = Pages::new("Étude du sommeil").language("fr", |text| match text {
    ///     Text::LogOut => Some("Se déconnecter".into()),
    ///     _ => None,
    /// });
    /// ```
    pub fn language(
        mut self,
        tag: impl Into<Cow<'static, str>>,
        table: impl Fn(Text) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    ) -> Self {
        let tag = tag.into();
        match self.languages.iter_mut().find(|known| known.tag == tag) {
            Some(known) => {
                let before = known.clone();
                *known = Language::new(tag, move |text| {
                    Some(table(text).unwrap_or_else(|| before.say(text)))
                });
            }
            None => self.languages.push(Language::new(tag, table)),
        }
        self
    }

    /// The routes that are there.
    pub(crate) fn routes(&self) -> impl Iterator<Item = PageRoute> + use<> {
        let desk = self.staff.is_some();
        PageRoute::ALL
            .into_iter()
            .filter(move |route| desk || !route.is_staff())
    }

    /// The language for whoever sent these headers; English if none of theirs is spoken.
    pub(crate) fn speak(&self, headers: &http::HeaderMap) -> &Language {
        accept::languages(headers)
            .find_map(|wanted| {
                let spoken = |tag: &str| {
                    self.languages
                        .iter()
                        .find(|language| language.tag.eq_ignore_ascii_case(tag))
                };
                spoken(&wanted).or_else(|| spoken(wanted.split('-').next()?))
            })
            .unwrap_or(&self.languages[0])
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("name", &self.name)
            .field("languages", &self.languages)
            .field("staff", &self.staff.is_some())
            .finish_non_exhaustive()
    }
}

/// Says who may see the desk, and act there. Implemented for closures that can tell at once.
///
/// The desk shows no member's name or id, but events, and the history of a member whose id one
/// knows; and it can set erasure going again.
#[async_trait]
pub trait StaffGuard: Send + Sync + 'static {
    /// Whether this request comes from someone of the staff. `member` is who is logged in with Open
    /// Humans, if anyone is. With axum the request's extensions hold what layers put there.
    async fn admits(&self, request: &Parts, member: Option<&Member>) -> bool;
}

#[async_trait]
impl<F> StaffGuard for F
where
    F: Fn(&Parts, Option<&Member>) -> bool + Send + Sync + 'static,
{
    async fn admits(&self, request: &Parts, member: Option<&Member>) -> bool {
        self(request, member)
    }
}

/// Renders pages in place of ours: any of them, or all.
///
/// ```
/// use oh_core::pages::{Page, PageContext, PageRenderer};
///
/// struct Ours;
///
/// impl PageRenderer for Ours {
///     fn render(&self, page: &Page, context: &PageContext<'_>) -> Option<String> {
///         match page {
///             Page::Files(files) => {
///                 // Through a template engine, which escapes.
///                 let count = files.total;
///                 Some(format!("<!DOCTYPE html><title>{count} files</title>"))
///             }
///             _ => None,
///         }
///     }
/// }
/// ```
pub trait PageRenderer: Send + Sync + 'static {
    /// The page as HTML, or `None` to leave it to ours. The Content-Security-Policy lets it use
    /// styles, scripts and pictures of the app's own origin, and nothing inline.
    fn render(&self, page: &Page, context: &PageContext<'_>) -> Option<String>;
}

/// What surrounds a page.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PageContext<'a> {
    /// The app's name.
    pub app_name: &'a str,
    /// The language chosen by `Accept-Language`, such as `de`.
    pub language: &'a str,
    /// The path that the routes are under, as a browser sees it, without a trailing slash.
    pub base: &'a str,
    /// What came of what was done last, to be shown on top.
    pub notice: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(languages: &'static str) -> http::HeaderMap {
        let value = http::HeaderValue::from_static(languages);
        http::HeaderMap::from_iter([(http::header::ACCEPT_LANGUAGE, value)])
    }

    #[test]
    fn the_first_language_that_is_spoken_is_taken() {
        let pages = Pages::new("x").language("pt-BR", |_| None);
        let spoken = |languages| pages.speak(&asked(languages)).tag.clone();
        assert_eq!(spoken("fr, de-AT;q=0.9, en;q=0.1"), "de");
        assert_eq!(spoken("pt-br"), "pt-BR");
        assert_eq!(spoken("fr, *"), "en");
    }

    #[test]
    fn other_words_in_a_language_leave_the_rest_as_it_was() {
        let pages = Pages::new("x").language("de", |text| match text {
            Text::LogOut => Some("Tschüss".into()),
            _ => None,
        });
        let german = pages.speak(&asked("de"));
        assert_eq!(german.say(Text::LogOut), "Tschüss");
        assert_eq!(german.say(Text::Upload), "Hochladen");
    }

    #[test]
    fn without_a_guard_the_desk_is_not_there() {
        assert!(!Pages::new("x").routes().any(PageRoute::is_staff));
        let open = Pages::new("x").staff(|_: &Parts, _: Option<&Member>| true);
        assert_eq!(open.routes().count(), PageRoute::ALL.len());
    }
}
