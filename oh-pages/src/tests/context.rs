use std::time::Duration;

use oh_core::Timestamp;

use super::{Surroundings, app};
use crate::context::{duration, minute};

fn noon() -> Timestamp {
    "2026-11-24T12:33:59.5Z".parse().unwrap()
}

#[test]
fn duration_uses_the_largest_unit_of_which_there_are_two() {
    for (milliseconds, text) in [
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
        assert_eq!(duration(Duration::from_millis(milliseconds)), text);
    }
}

#[test]
fn time_shows_the_minute_and_contains_the_timestamp() {
    assert_eq!(minute(noon()), "2026-11-24 12:33");
    let surroundings = Surroundings::new();
    let shown = surroundings.cx().time(noon()).into_string();
    let timestamp = noon().to_string();
    assert_eq!(
        shown,
        format!("<time datetime=\"{timestamp}\">2026-11-24 12:33 UTC</time>")
    );
}

#[test]
fn notice_confirms_known_actions_only() {
    for (query, notice) in [
        ("page=1&done=uploaded", Some("The file was uploaded.")),
        (
            "done=edited-duplicate",
            Some(
                "Your changes were saved in a new file, but the old file could not be deleted. Please delete it yourself.",
            ),
        ),
        (
            "done=released-all",
            Some("All quarantined events were released."),
        ),
        ("done=call-0900", None),
        ("", None),
    ] {
        let mut surroundings = Surroundings::new();
        surroundings.query = query;
        assert_eq!(surroundings.cx().notice().as_deref(), notice, "{query}");
    }
}

#[test]
fn path_includes_the_path_of_the_app_and_the_mount_path() {
    for (url, base) in [
        ("https://app.example", "/openhumans"),
        ("https://app.example/study/", "/study/openhumans"),
    ] {
        let surroundings = Surroundings::of(app(url));
        assert_eq!(surroundings.cx().path("/"), base);
        assert_eq!(surroundings.cx().path("/files"), format!("{base}/files"));
    }
}
