//! The texts of the pages: one Fluent file for each language.

use std::fmt;
use std::sync::Arc;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use http::HeaderMap;
use unic_langid::LanguageIdentifier;

use crate::negotiation;

const ENGLISH: &str = include_str!("en.ftl");
const GERMAN: &str = include_str!("de.ftl");

/// An error in a text that an application supplied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The language tag is not valid.
    #[error("{0:?} is not a language tag (RFC 5646)")]
    LanguageTag(String),
    /// Texts were replaced in a language that the pages do not have.
    #[error("the pages have no language {0:?}; add it with Pages::language")]
    UnknownLanguage(String),
    /// A language was added that the pages already have.
    #[error("the pages already have the language {0:?}; change it with Pages::texts")]
    LanguageExists(String),
    /// The pages use no message with this ID.
    #[error("the pages have no message {0:?}")]
    UnknownMessage(String),
    /// The text is not valid Fluent syntax.
    #[error("invalid Fluent syntax: {0}")]
    Syntax(String),
}

/// The languages of the pages. The first one is English and supplies missing messages.
#[derive(Clone)]
pub(crate) struct Languages(Vec<Language>);

impl Languages {
    pub(crate) fn built_in() -> Self {
        let language = |tag: &str, source| {
            let resource = parse(source).expect("the built-in texts are valid");
            Language::new(tag, vec![resource]).expect("the built-in tags are valid")
        };
        Self(vec![language("en", ENGLISH), language("de", GERMAN)])
    }

    /// Adds a language.
    pub(crate) fn add(&mut self, tag: &str, source: &str) -> Result<(), TextError> {
        if self.find(tag).is_some() {
            return Err(TextError::LanguageExists(tag.to_owned()));
        }
        let resource = self.check(source)?;
        self.0.push(Language::new(tag, vec![resource])?);
        Ok(())
    }

    /// Replaces messages in a language.
    pub(crate) fn replace(&mut self, tag: &str, source: &str) -> Result<(), TextError> {
        let index = self
            .find(tag)
            .ok_or_else(|| TextError::UnknownLanguage(tag.to_owned()))?;
        let mut resources = self.0[index].resources.clone();
        resources.push(self.check(source)?);
        self.0[index] = Language::new(tag, resources)?;
        Ok(())
    }

    /// Parses `source` and checks that the pages use each of its messages.
    fn check(&self, source: &str) -> Result<Arc<FluentResource>, TextError> {
        let resource = parse(source)?;
        let is_known = |id: &str| self.0[..2].iter().any(|known| known.bundle.has_message(id));
        let unknown = message_ids(&resource).find(|id| !is_known(id));
        match unknown {
            Some(id) => Err(TextError::UnknownMessage(id.to_owned())),
            None => Ok(resource),
        }
    }

    fn find(&self, tag: &str) -> Option<usize> {
        let fits = |language: &Language| language.tag.eq_ignore_ascii_case(tag);
        self.0.iter().position(fits)
    }

    /// The language that fits `Accept-Language` best; English if none fits.
    pub(crate) fn negotiate(&self, headers: &HeaderMap) -> &Language {
        let fitting = negotiation::languages(headers).find_map(|tag| {
            let primary = tag.split('-').next().unwrap_or_default();
            self.find(&tag).or_else(|| self.find(primary))
        });
        &self.0[fitting.unwrap_or_default()]
    }

    /// Formats the message `id` in `language`, or in English if it is missing there.
    ///
    /// The argument `count` is a number, which selects plural forms. All others are texts.
    pub(crate) fn format(&self, language: &Language, id: &str, values: &[(&str, &str)]) -> String {
        self.try_format(language, id, values).unwrap_or_else(|| {
            debug_assert!(false, "the pages have no message {id:?}");
            id.to_owned()
        })
    }

    /// As [`format`](Self::format), for messages that English may lack.
    pub(crate) fn try_format(
        &self,
        language: &Language,
        id: &str,
        values: &[(&str, &str)],
    ) -> Option<String> {
        let text = language.format(id, values);
        text.or_else(|| self.0[0].format(id, values))
    }
}

impl fmt::Debug for Languages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags = self.0.iter().map(|language| &language.tag);
        f.debug_list().entries(tags).finish()
    }
}

/// One language.
#[derive(Clone)]
pub(crate) struct Language {
    pub(crate) tag: String,
    resources: Vec<Arc<FluentResource>>,
    bundle: Arc<FluentBundle<Arc<FluentResource>>>,
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Language").field(&self.tag).finish()
    }
}

impl Language {
    fn new(tag: &str, resources: Vec<Arc<FluentResource>>) -> Result<Self, TextError> {
        let identifier: LanguageIdentifier = tag
            .parse()
            .map_err(|_| TextError::LanguageTag(tag.to_owned()))?;
        let mut bundle = FluentBundle::new_concurrent(vec![identifier]);
        // The marks would end up in attributes and file names.
        bundle.set_use_isolating(false);
        for resource in &resources {
            bundle.add_resource_overriding(Arc::clone(resource));
        }
        Ok(Self {
            tag: tag.to_owned(),
            resources,
            bundle: Arc::new(bundle),
        })
    }

    fn format(&self, id: &str, values: &[(&str, &str)]) -> Option<String> {
        let pattern = self.bundle.get_message(id)?.value()?;
        let mut arguments = FluentArgs::with_capacity(values.len());
        for (name, value) in values {
            let value = match *name {
                "count" => FluentValue::try_number(value),
                _ => FluentValue::from(*value),
            };
            arguments.set(*name, value);
        }
        let mut errors = Vec::new();
        let text = self
            .bundle
            .format_pattern(pattern, Some(&arguments), &mut errors);
        if errors.is_empty() {
            return Some(text.into_owned());
        }
        tracing::warn!(
            id,
            language = self.tag,
            ?errors,
            "failed to format a message"
        );
        None
    }
}

fn parse(source: &str) -> Result<Arc<FluentResource>, TextError> {
    let parsed = FluentResource::try_new(source.to_owned());
    parsed.map(Arc::new).map_err(|(_, errors)| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        TextError::Syntax(errors.join("; "))
    })
}

/// The IDs of the messages in a Fluent file, which begin its lines.
fn message_ids(resource: &FluentResource) -> impl Iterator<Item = &str> {
    let lines = resource.source().lines();
    lines.filter_map(|line| {
        let (id, _) = line.split_once('=')?;
        let id = id.trim_end();
        let is_id = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (id.starts_with(|c: char| c.is_ascii_alphabetic()) && id.bytes().all(is_id)).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::Path;

    use super::*;

    fn headers(languages: &'static str) -> HeaderMap {
        let value = http::HeaderValue::from_static(languages);
        HeaderMap::from_iter([(http::header::ACCEPT_LANGUAGE, value)])
    }

    /// The message IDs of a file with the arguments that each message uses.
    fn messages(source: &str) -> BTreeMap<String, BTreeSet<String>> {
        let resource = parse(source).unwrap();
        let ids: Vec<&str> = message_ids(&resource).collect();
        let mut messages = BTreeMap::new();
        for (index, id) in ids.iter().enumerate() {
            let start = source.find(&format!("\n{id} =")).unwrap() + 1;
            let next = ids.get(index + 1);
            let end = next.map_or(source.len(), |next| {
                source.find(&format!("\n{next} =")).unwrap()
            });
            let arguments = source[start..end].split('$').skip(1).map(|part| {
                let end = part.find(|c: char| !c.is_ascii_alphanumeric());
                part[..end.unwrap_or(part.len())].to_owned()
            });
            messages.insert((*id).to_owned(), arguments.collect());
        }
        messages
    }

    #[test]
    fn languages_have_the_same_messages_with_the_same_arguments() {
        let (english, mut german) = (messages(ENGLISH), messages(GERMAN));
        // The English texts of failed logins are in oh-core.
        german.retain(|id, _| !id.starts_with("login-failed-"));
        assert!(english.len() > 200, "{}", english.len());
        for (id, arguments) in &english {
            let ours: BTreeSet<_> = arguments.iter().filter(|name| *name != "app").collect();
            let german = german.get(id).unwrap_or_else(|| panic!("{id} is missing"));
            let theirs: BTreeSet<_> = german.iter().filter(|name| *name != "app").collect();
            assert_eq!(ours, theirs, "{id}");
        }
        assert_eq!(english.len(), german.len());
    }

    #[test]
    fn messages_are_all_used_by_the_source_code() {
        fn read(folder: &Path, all: &mut String) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.extension().and_then(|ending| ending.to_str()) {
                    _ if path.is_dir() => read(&path, all),
                    Some("rs") => all.push_str(&fs::read_to_string(path).unwrap()),
                    _ => {}
                }
            }
        }
        let mut source = String::new();
        read(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut source,
        );
        // Messages that are found by a code.
        let prefixes = [
            "done-",
            "error-",
            "list-",
            "state-",
            "step-",
            "erasure-",
            "discovery-",
        ];
        for id in messages(ENGLISH).keys() {
            let is_literal = source.contains(&format!("\"{id}\""));
            let has_code = prefixes.iter().any(|prefix| id.starts_with(prefix));
            assert!(is_literal || has_code, "no page uses {id}");
        }
    }

    #[test]
    fn languages_negotiate_picks_the_preferred_supported_language() {
        let mut languages = Languages::built_in();
        languages.add("pt-BR", "log-out = Sair").unwrap();
        for (header, tag) in [
            ("fr, de-AT;q=0.9, en;q=0.1", "de"),
            ("pt-br", "pt-BR"),
            ("fr, *", "en"),
        ] {
            assert_eq!(languages.negotiate(&headers(header)).tag, tag, "{header}");
        }
    }

    #[test]
    fn languages_replace_changes_one_message_and_keeps_the_others() {
        let mut languages = Languages::built_in();
        languages.replace("de", "log-out = Tschüss").unwrap();
        let german = languages.negotiate(&headers("de"));
        assert_eq!(languages.format(german, "log-out", &[]), "Tschüss");
        assert_eq!(languages.format(german, "upload", &[]), "Hochladen");
    }

    #[test]
    fn languages_reject_unknown_languages_messages_and_syntax() {
        let mut languages = Languages::built_in();
        for (added, error) in [
            (
                languages.add("de", ""),
                "the pages already have the language \"de\"",
            ),
            (languages.add("not a tag", ""), "is not a language tag"),
            (
                languages.replace("fr", ""),
                "the pages have no language \"fr\"",
            ),
            (
                languages.replace("en", "logout = Leave"),
                "the pages have no message \"logout\"",
            ),
            (
                languages.add("fr", "log-out = { $app"),
                "invalid Fluent syntax",
            ),
        ] {
            let message = added.unwrap_err().to_string();
            assert!(message.contains(error), "{message}");
        }
    }

    #[test]
    fn format_uses_plural_forms_and_falls_back_to_english() {
        let mut languages = Languages::built_in();
        let polish = "file-count = { $count ->\n    [one] { $count } plik\n    \
                      [few] { $count } pliki\n   *[many] { $count } plików\n    }\n";
        languages.add("pl", polish).unwrap();
        let language = languages.negotiate(&headers("pl"));
        for (count, text) in [("1", "1 plik"), ("2", "2 pliki"), ("5", "5 plików")] {
            let formatted = languages.format(language, "file-count", &[("count", count)]);
            assert_eq!(formatted, text);
        }
        let english = languages.format(language, "edit-title", &[("file", "{ $app } 007")]);
        assert_eq!(english, "Edit { $app } 007");
    }
}
