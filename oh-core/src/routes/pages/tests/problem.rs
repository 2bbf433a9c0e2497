use http::{Request, StatusCode};

use super::{Visit, app, has, json, text};
use crate::Error;
use crate::api::AppError;
use crate::pages::texts::Text;
use crate::routes::pages::problem::Problem;
use crate::routes::pages::show;
use crate::store::StoreError;

#[test]
fn what_went_wrong_is_told_with_a_status_a_word_and_an_explanation() {
    let invalid = Error::InvalidInput {
        argument: "tags",
        reason: "a tag is empty".into(),
    };
    let what = "the file".into();
    let problems: [(Problem, u16, &str, &str); 8] = [
        (
            invalid.into(),
            400,
            "invalid",
            "Open Humans cannot take this: a tag is empty.",
        ),
        (
            Error::TooLarge { what }.into(),
            413,
            "too_large",
            "That is too large.",
        ),
        (
            Error::Deauthorized.into(),
            401,
            "left",
            "You are no longer connected. Please log in again.",
        ),
        (
            Error::NotFound.into(),
            404,
            "no_such_file",
            "There is no such file, or it is no longer shared.",
        ),
        (
            Error::Timeout.into(),
            504,
            "timeout",
            "Open Humans did not answer in time. Please try again.",
        ),
        (
            Error::from(AppError::temporary("down")).into(),
            503,
            "store",
            "Something is not working here. Please try again in a few minutes.",
        ),
        (
            StoreError::unavailable("down").into(),
            503,
            "store",
            "Something is not working here. Please try again in a few minutes.",
        ),
        (
            Error::RateLimited { retry_after: None }.into(),
            502,
            "open_humans",
            "Open Humans did not answer as it should. Please try again in a few minutes.",
        ),
    ];
    let request = Request::get("/openhumans/files").header("accept", "application/json");
    let visit = Visit::of(app(), request);
    for (problem, status, word, message) in problems {
        let answer = show::problem(&visit.cx(), &problem);
        assert_eq!(answer.response.status(), status, "{word}");
        let told = json(answer);
        assert_eq!(
            (&told["error"], &told["message"]),
            (&word.into(), &message.into())
        );
    }
}

fn page(path: &str, problem: &Problem) -> String {
    let visit = Visit::to(path);
    text(show::problem(&visit.cx(), problem))
}

#[test]
fn a_problem_is_said_on_a_page_that_leads_back_to_the_files() {
    let page = page("/openhumans/files/7/edit", &Problem::no_such_file());
    has(
        &page,
        &[
            "<h1>That did not work</h1>",
            "role=\"alert\" data-error=\"no_such_file\"",
            "There is no such file, or it is no longer shared.",
            "href=\"/openhumans/files\">Your files</a>",
        ],
    );
}

#[test]
fn whoever_has_left_is_led_to_where_one_can_log_in_again() {
    let page = page("/openhumans/files", &Error::Deauthorized.into());
    has(&page, &["href=\"/openhumans\">Your connection</a>"]);
    assert!(!page.contains("Your files"), "{page}");
}

#[test]
fn staff_are_led_back_to_the_desk_and_others_are_not() {
    let found_nothing = page("/openhumans/staff/events/7", &Problem::not_found());
    let desk = "href=\"/openhumans/staff\">Erasure desk</a>";
    has(&found_nothing, &[desk]);
    let others = Problem::new(StatusCode::FORBIDDEN, "staff_only", Text::StaffOnlyProblem);
    let page = page("/openhumans/staff", &others);
    has(&page, &["This page is for the staff of Sleep."]);
    assert!(!page.contains(desk), "{page}");
}
