//! What an application configures: name, look, languages, staff.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use http::request::Parts;
use oh_core::{Member, OpenHumans};

use crate::pages::{self, Page};
use crate::texts::{Language, Languages, TextError};

/// The largest file that the object store accepts in one request: 5 GiB.
const MAX_UPLOAD: u64 = 5 << 30;

/// The pages of an application. See the [crate](crate) for an example.
#[derive(Clone)]
#[must_use]
pub struct Pages {
    pub(crate) name: String,
    pub(crate) logo: Option<String>,
    pub(crate) stylesheet: Option<String>,
    pub(crate) home: String,
    pub(crate) max_upload: u64,
    pub(crate) staff: Option<Arc<dyn StaffGuard>>,
    pub(crate) renderer: Option<Arc<dyn PageRenderer>>,
    pub(crate) languages: Languages,
}

impl Pages {
    /// Creates pages for an application that its members know as `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            logo: None,
            stylesheet: None,
            home: "/".into(),
            max_upload: MAX_UPLOAD,
            staff: None,
            renderer: None,
            languages: Languages::built_in(),
        }
    }

    /// Sets the path of a logo, which is shown next to the name. It must be on the application's
    /// origin.
    pub fn logo(mut self, path: impl Into<String>) -> Self {
        self.logo = Some(path.into());
        self
    }

    /// Sets the path of a stylesheet that is loaded after the built-in one. It must be on the
    /// application's origin. Colors are custom properties of `:root`: `--accent`, `--ground`,
    /// `--card`, `--ink` and others.
    pub fn stylesheet(mut self, path: impl Into<String>) -> Self {
        self.stylesheet = Some(path.into());
        self
    }

    /// Sets the target of links back to the application. Default: `/`.
    pub fn home(mut self, path: impl Into<String>) -> Self {
        self.home = path.into();
        self
    }

    /// Sets the size limit of an upload in bytes. Default and maximum: 5 GiB, the limit of the
    /// object store.
    pub fn max_upload(mut self, bytes: u64) -> Self {
        self.max_upload = bytes.min(MAX_UPLOAD);
        self
    }

    /// Adds the erasure dashboard, for requests that `guard` admits. Without it, the routes of the
    /// dashboard do not exist.
    pub fn staff(mut self, guard: impl StaffGuard) -> Self {
        self.staff = Some(Arc::new(guard));
        self
    }

    /// Replaces pages with the application's own.
    pub fn renderer(mut self, renderer: impl PageRenderer) -> Self {
        self.renderer = Some(Arc::new(renderer));
        self
    }

    /// Adds a language. `messages` is a [Fluent](https://projectfluent.org) file with the message
    /// IDs of the built-in `en.ftl`; missing messages are shown in English.
    ///
    /// ```
    /// # fn main() -> Result<(), oh_pages::TextError> {
    /// let pages = oh_pages::Pages::new("Étude du sommeil").language("fr", "log-out = Se déconnecter")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If the language exists already, or `messages` has a syntax error or an unknown message ID.
    pub fn language(mut self, tag: &str, messages: &str) -> Result<Self, TextError> {
        self.languages.add(tag, messages)?;
        Ok(self)
    }

    /// Replaces single messages in a language that the pages have.
    ///
    /// ```
    /// # fn main() -> Result<(), oh_pages::TextError> {
    /// let pages = oh_pages::Pages::new("Sleep study").texts("en", "log-in = Join { $app }")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// If the pages have no such language, or `messages` has a syntax error or an unknown message ID.
    pub fn texts(mut self, tag: &str, messages: &str) -> Result<Self, TextError> {
        self.languages.replace(tag, messages)?;
        Ok(self)
    }

    /// Returns the routes of the pages. Mount them under
    /// [`Settings::mount_path`](oh_core::Settings::mount_path), beside the routes of `oh-core`.
    ///
    /// Each request must have an [`oh_core::routes::SessionReader`] among its extensions;
    /// `oh_axum::with_session` and `oh_actix::configure_with` insert it.
    pub fn router<S>(&self, openhumans: &OpenHumans) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        pages::router(openhumans, self)
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

/// Grants access to the erasure dashboard. Implemented for closures.
///
/// The dashboard shows events without names or ids, and the history of a member whose id the
/// visitor already knows. Its actions can start erasures.
#[async_trait]
pub trait StaffGuard: Send + Sync + 'static {
    /// Returns whether `request` comes from a staff member. `member` is the Open Humans member who
    /// is logged in, if any. With axum, `request` has the extensions that layers inserted.
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

/// Renders some or all pages in place of the built-in HTML.
///
/// ```
/// use oh_pages::{Page, PageContext, PageRenderer};
///
/// struct OwnFiles;
///
/// impl PageRenderer for OwnFiles {
///     fn render(&self, page: &Page, context: &PageContext<'_>) -> Option<String> {
///         let Page::Files(files) = page else {
///             return None;
///         };
///         let title = context.text("files-title", &[]);
///         let count = context.text("file-count", &[("count", &files.total.to_string())]);
///         // Use a template engine that escapes in a real application.
///         Some(format!("<!DOCTYPE html><title>{title}</title><p>{count}</p>"))
///     }
/// }
/// ```
pub trait PageRenderer: Send + Sync + 'static {
    /// Returns the HTML of `page`, or `None` to use the built-in HTML. The
    /// Content-Security-Policy allows styles, scripts and images of the application's origin, and
    /// nothing inline.
    fn render(&self, page: &Page, context: &PageContext<'_>) -> Option<String>;
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
