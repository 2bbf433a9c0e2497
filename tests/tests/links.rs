//! The guides are consistent: every link resolves, every guide is in the book, and its code compiles.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Collects the Markdown files below `folder`, without dependencies and build output.
fn collect_pages(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "target" || name == "node_modules" {
            continue;
        }
        if path.is_dir() {
            collect_pages(&path, pages);
        } else if name.ends_with(".md") {
            pages.push(path);
        }
    }
}

/// Returns the link targets and heading anchors of a page.
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

/// Returns the anchor that GitHub and mdBook generate for a heading.
fn anchor(heading: &str) -> String {
    let characters = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    characters.collect()
}

#[test]
fn links_resolve() {
    let (mut all, mut broken) = (Vec::new(), Vec::new());
    collect_pages(&root(), &mut all);
    assert!(all.len() > 15, "found only {} pages", all.len());
    for page in &all {
        for link in links_and_anchors(page).0 {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => page.clone(),
                path => page.parent().unwrap().join(path),
            };
            let resolves = target.exists()
                && (anchor.is_empty() || links_and_anchors(&target).1.contains(anchor));
            if !resolves {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn guides_are_in_the_book_and_compiled() {
    let docs = root().join("docs");
    let book: BTreeSet<PathBuf> = links_and_anchors(&docs.join("SUMMARY.md"))
        .0
        .iter()
        .map(|link| docs.join(link))
        .collect();
    let compiled = fs::read_to_string(root().join("tests/src/guides.rs")).unwrap();
    let mut all = Vec::new();
    collect_pages(&docs, &mut all);
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
