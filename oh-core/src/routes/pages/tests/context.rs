use std::time::Duration;

use http::Request;
use http::header::ACCEPT_LANGUAGE;

use super::{Visit, app, at, pages};
use crate::Timestamp;
use crate::pages::texts::Text;
use crate::routes::pages::context::{minute, span};

fn noon() -> Timestamp {
    "2026-11-24T12:33:59.5Z".parse().unwrap()
}

#[test]
fn a_size_is_told_in_the_largest_unit_with_three_digits_or_so() {
    let visit = Visit::to("/openhumans/files");
    for (bytes, said) in [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (1_234, "1.2 kB"),
        (12_990, "12.9 kB"),
        (99_999, "99.9 kB"),
        (100_000, "100 kB"),
        (999_999, "999 kB"),
        (1_000_000, "1.0 MB"),
        (2_560_000_000, "2.5 GB"),
        (7_300_000_000_000, "7.3 TB"),
        (999_000_000_000_000, "999 TB"),
        (4_000_000_000_000_000, "4000 TB"),
        (u64::MAX, "18446744 TB"),
    ] {
        assert_eq!(visit.cx().size(bytes), said, "{bytes}");
    }
}

#[test]
fn a_size_is_written_as_the_language_writes_numbers() {
    let request = Request::get("/openhumans/files").header(ACCEPT_LANGUAGE, "de");
    let visit = Visit::of(app(), request);
    assert_eq!(visit.cx().size(1_234), "1,2 kB");
}

#[test]
fn a_duration_is_told_in_its_largest_unit_from_two_on() {
    for (milliseconds, said) in [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1 s"),
        (119_999, "119 s"),
        (120_000, "2 min"),
        (7_199_000, "119 min"),
        (7_200_000, "2 h"),
        (172_799_000, "47 h"),
        (172_800_000, "2 d"),
        (8_640_000_000, "100 d"),
    ] {
        assert_eq!(span(Duration::from_millis(milliseconds)), said);
    }
}

#[test]
fn a_moment_is_shown_to_the_minute_and_told_whole() {
    assert_eq!(minute(noon()), "2026-11-24 12:33");
    let visit = Visit::to("/openhumans");
    let shown = visit.cx().time(noon()).into_string();
    let whole = noon().to_string();
    assert_eq!(
        shown,
        format!("<time datetime=\"{whole}\">2026-11-24 12:33 UTC</time>")
    );
}

#[test]
fn what_was_done_last_is_said_where_the_code_is_ours() {
    for (code, said) in [
        ("uploaded", Some(Text::DoneUploaded)),
        ("edited", Some(Text::DoneEdited)),
        ("edited-twice", Some(Text::DoneEditedTwice)),
        ("deleted", Some(Text::DoneDeleted)),
        ("deleted-all", Some(Text::DoneDeletedAll)),
        ("disconnected", Some(Text::DoneDisconnected)),
        ("erasing", Some(Text::DoneErasing)),
        ("requeued", Some(Text::DoneRequeued)),
        ("released", Some(Text::DoneReleased)),
        ("released-all", Some(Text::DoneReleasedAll)),
        ("call-0900", None),
    ] {
        let visit = Visit::to(&format!("/openhumans/files?page=1&done={code}"));
        let said = said.map(Text::english);
        assert_eq!(visit.cx().notice().as_deref(), said, "{code}");
    }
    assert_eq!(Visit::to("/openhumans/files").cx().notice(), None);
}

#[test]
fn addresses_begin_where_the_app_is_and_the_routes_are_mounted() {
    let visit = Visit::to("/openhumans");
    assert_eq!(visit.cx().path("/"), "/openhumans");
    assert_eq!(visit.cx().path("/files"), "/openhumans/files");
    let below = at("https://app.example/study/").pages(pages());
    let visit = Visit::of(below, Request::get("/study/openhumans"));
    assert_eq!(visit.cx().path("/"), "/study/openhumans");
    assert_eq!(visit.cx().path("/files"), "/study/openhumans/files");
}
