//! Pages that the application renders itself.

use crate::context::PageContext;
use crate::pages::Page;

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
