use axum::response::IntoResponse;
use http::StatusCode;
use oh_core::Error;
use oh_core::api::AppError;
use oh_core::store::StoreError;

use super::{Surroundings, assert_contains};
use crate::access::Access;
use crate::error::PageError;
use crate::pages::ErrorPage;

#[test]
fn page_error_has_a_status_a_code_and_an_explanation() {
    let invalid = Error::InvalidInput {
        argument: "tags",
        reason: "a tag is empty".into(),
    };
    let what = "the file".into();
    let errors: [(PageError, u16, &str, &str); 8] = [
        (
            invalid.into(),
            400,
            "invalid",
            "Open Humans does not accept this: a tag is empty.",
        ),
        (
            Error::TooLarge { what }.into(),
            413,
            "too_large",
            "The upload or the form is too large.",
        ),
        (
            Error::Deauthorized.into(),
            401,
            "disconnected",
            "You are no longer connected. Please log in again.",
        ),
        (
            Error::NotFound.into(),
            404,
            "no_such_file",
            "The file does not exist or is no longer shared.",
        ),
        (
            Error::Timeout.into(),
            504,
            "timeout",
            "Open Humans did not respond in time. Please try again.",
        ),
        (
            Error::from(AppError::temporary("down")).into(),
            503,
            "store",
            "Something went wrong. Please try again in a few minutes.",
        ),
        (
            StoreError::unavailable("down").into(),
            503,
            "store",
            "Something went wrong. Please try again in a few minutes.",
        ),
        (
            Error::RateLimited { retry_after: None }.into(),
            502,
            "open_humans",
            "Open Humans did not respond as expected. Please try again in a few minutes.",
        ),
    ];
    let surroundings = Surroundings::new();
    for (error, status, code, message) in errors {
        assert_eq!(error.status, status, "{code}");
        let view = ErrorPage::new(&error, &surroundings.cx());
        assert_eq!((view.error, view.message.as_str()), (code, message));
        assert_eq!(error.into_response().status(), 200, "rendered later");
    }
}

#[test]
fn error_page_links_to_the_section_of_the_route() {
    let files = "href=\"/openhumans/files\">Your files</a>";
    let home = "href=\"/openhumans\">Your connection</a>";
    let dashboard = "href=\"/openhumans/staff\">Erasure dashboard</a>";
    let staff_only = PageError::new(StatusCode::FORBIDDEN, "staff_only");
    for (error, access, link) in [
        (PageError::no_such_file(), Some(Access::Member), Some(files)),
        (Error::Deauthorized.into(), Some(Access::Member), Some(home)),
        (PageError::not_found(), Some(Access::Staff), Some(dashboard)),
        (staff_only, Some(Access::Staff), None),
        // Also for an app below a path such as `/staffing`.
        (PageError::not_found(), None, Some(home)),
    ] {
        let surroundings = Surroundings::new();
        let mut cx = surroundings.cx();
        cx.access = access;
        let view = ErrorPage::new(&error, &cx);
        let html = crate::layout::View::html(&view, &cx).into_string();
        assert_contains(
            &html,
            &[
                "<h1>That did not work</h1>",
                "role=\"alert\"",
                &view.message,
            ],
        );
        for other in [files, home, dashboard] {
            assert_eq!(html.contains(other), link == Some(other), "{html}");
        }
    }
}
