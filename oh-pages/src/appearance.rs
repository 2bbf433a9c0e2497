//! The name, look and languages of the pages.

use crate::texts::Languages;

/// What the HTML of every page shows of the application.
#[derive(Clone, Debug)]
pub(crate) struct Appearance {
    pub(crate) name: String,
    pub(crate) logo: Option<String>,
    pub(crate) stylesheet: Option<String>,
    /// The target of links back to the application.
    pub(crate) home: String,
    pub(crate) languages: Languages,
}
