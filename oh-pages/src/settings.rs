//! What an application configures: name, look, languages, staff.

use std::fmt;
use std::sync::Arc;

use crate::appearance::Appearance;
use crate::renderer::PageRenderer;
use crate::staff::StaffGuard;
use crate::texts::{Languages, TextError};

/// The largest file that the object store accepts in one request: 5 GiB.
const MAX_UPLOAD: u64 = 5 << 30;

/// The pages of an application. See the [crate](crate) for an example.
#[derive(Clone)]
#[must_use]
pub struct Pages {
    pub(crate) appearance: Appearance,
    pub(crate) max_upload: u64,
    pub(crate) staff: Option<Arc<dyn StaffGuard>>,
    pub(crate) renderer: Option<Arc<dyn PageRenderer>>,
}

impl Pages {
    /// Creates pages for an application that its members know as `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            appearance: Appearance {
                name: name.into(),
                logo: None,
                stylesheet: None,
                home: "/".into(),
                languages: Languages::built_in(),
            },
            max_upload: MAX_UPLOAD,
            staff: None,
            renderer: None,
        }
    }

    /// Sets the path of a logo, which is shown next to the name. It must be on the application's
    /// origin.
    pub fn logo(mut self, path: impl Into<String>) -> Self {
        self.appearance.logo = Some(path.into());
        self
    }

    /// Sets the path of a stylesheet that is loaded after the built-in one. It must be on the
    /// application's origin. Colors are custom properties of `:root`: `--accent`, `--ground`,
    /// `--card`, `--ink` and others.
    pub fn stylesheet(mut self, path: impl Into<String>) -> Self {
        self.appearance.stylesheet = Some(path.into());
        self
    }

    /// Sets the target of links back to the application. Default: `/`.
    pub fn home(mut self, path: impl Into<String>) -> Self {
        self.appearance.home = path.into();
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
        self.appearance.languages.add(tag, messages)?;
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
        self.appearance.languages.replace(tag, messages)?;
        Ok(self)
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("name", &self.appearance.name)
            .field("languages", &self.appearance.languages)
            .field("staff", &self.staff.is_some())
            .finish_non_exhaustive()
    }
}
