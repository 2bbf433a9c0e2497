//! The prose holds together: each link leads somewhere, each guide is in the book, and the code of
//! each guide is compiled.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All Markdown of the repository that is not somebody else's.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "target" || name == "node_modules" {
            continue;
        }
        if path.is_dir() {
            pages(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// Where the links of a page lead, and the anchors that its headings are.
fn links_and_anchors(page: &Path) -> (Vec<String>, BTreeSet<String>) {
    let text = fs::read_to_string(page).unwrap();
    let (mut links, mut anchors) = (Vec::new(), BTreeSet::new());
    let mut heading: Option<String> = None;
    for event in Parser::new(&text) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                links.push(dest_url.into_string());
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => anchors.extend(heading.take().map(|h| anchor(&h))),
            _ => {}
        }
    }
    (links, anchors)
}

/// As GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

#[test]
fn each_link_leads_somewhere() {
    let (mut all, mut broken) = (Vec::new(), Vec::new());
    pages(&root(), &mut all);
    assert!(all.len() > 15, "only {} pages were found", all.len());
    for page in &all {
        for link in links_and_anchors(page).0 {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let to = match path {
                "" => page.clone(),
                path => page.parent().unwrap().join(path),
            };
            let leads =
                to.exists() && (anchor.is_empty() || links_and_anchors(&to).1.contains(anchor));
            if !leads {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn each_guide_is_in_the_book_and_its_code_is_compiled() {
    let docs = root().join("docs");
    let book: BTreeSet<PathBuf> = links_and_anchors(&docs.join("SUMMARY.md"))
        .0
        .iter()
        .map(|link| docs.join(link))
        .collect();
    let compiled = fs::read_to_string(root().join("tests/src/guides.rs")).unwrap();
    let mut all = Vec::new();
    pages(&docs, &mut all);
    for page in all {
        let name = page.strip_prefix(&docs).unwrap().display().to_string();
        if name == "SUMMARY.md" {
            continue;
        }
        assert!(book.contains(&page), "{name} is not in SUMMARY.md");
        if fs::read_to_string(&page).unwrap().contains("```rust") {
            assert!(
                compiled.contains(&format!("\"docs/{name}\"")),
                "{name} is not compiled"
            );
        }
    }
}
