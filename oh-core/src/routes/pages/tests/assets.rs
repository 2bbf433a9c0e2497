use http::header::CONTENT_TYPE;

use super::text;
use crate::routes::pages::assets;

#[test]
fn each_is_served_as_what_it_is_under_a_name_of_its_content() {
    let assets = [
        (assets::css(), ".css", "text/css; charset=utf-8", "--accent"),
        (
            assets::js(),
            ".js",
            "text/javascript; charset=utf-8",
            "addEventListener",
        ),
    ];
    for (name, ending, kind, holds) in assets {
        let digest = name.strip_prefix("pages-").unwrap();
        let digest = digest.strip_suffix(ending).unwrap();
        assert_eq!(digest.len(), 16, "{name}");
        assert!(digest.bytes().all(|b| b.is_ascii_hexdigit()), "{name}");
        let answer = assets::answer(name);
        assert_eq!(answer.response.status(), 200, "{name}");
        assert_eq!(answer.response.headers()[CONTENT_TYPE], kind);
        assert!(text(answer).contains(holds), "{name}");
    }
}
