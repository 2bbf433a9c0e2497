//! Records as Open Humans sent them, read only as far as anyone asks.
//!
//! A record keeps its own JSON text beside the fields this library knows. Values of unknown form
//! and size, such as a file's metadata, are read from it when they are asked for: as trees of
//! values they would need up to a hundred times the memory of their text.

use std::fmt;

use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The JSON text of a record. Does not print: it can hold addresses with secrets in them.
#[derive(Clone, Default)]
pub(crate) struct Raw(Box<str>);

impl Raw {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// One field's value, if it is there and has this form.
    pub(crate) fn field<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str(field(&self.0, name)?.get()).ok()
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self(raw.into()))
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// The text of one field of an object.
pub(crate) fn field<'a>(object: &'a str, name: &str) -> Option<&'a RawValue> {
    struct Find<'n>(&'n str);

    impl<'de> Visitor<'de> for Find<'_> {
        type Value = Option<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                let value: &'de RawValue = map.next_value()?;
                if key == self.0 {
                    found = Some(value);
                }
            }
            Ok(found)
        }
    }

    let mut json = serde_json::Deserializer::from_str(object);
    json.deserialize_map(Find(name)).ok().flatten()
}

/// Implements `Deserialize` for a record with a field `raw` that derives it with
/// `#[serde(remote = "Self")]`, and gives it `raw` and `field`.
macro_rules! deserialize_with_raw {
    ($($record:ty),* $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $record {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let raw = crate::types::record::Raw::deserialize(deserializer)?;
                let mut json = serde_json::Deserializer::from_str(raw.as_str());
                let mut record =
                    <$record>::deserialize(&mut json).map_err(serde::de::Error::custom)?;
                record.raw = raw;
                Ok(record)
            }
        }

        impl $record {
            /// The whole record as Open Humans sent it, in JSON. It can hold addresses that work
            /// without a token: treat it as a secret.
            pub fn raw(&self) -> &str {
                self.raw.as_str()
            }

            /// One field of the record by its name, also one that this library does not know, if
            /// it is there and has this form.
            pub fn field<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
                self.raw.field(name)
            }
        }
    )*};
}
pub(crate) use deserialize_with_raw;

/// A value that is left out where its form is another.
pub(crate) fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let value = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(value.get()).ok())
}

/// A list of at most `N` items. Each item takes more memory than its text, so what an answer can
/// make of its bytes needs a bound.
pub(crate) fn at_most<'de, D, T, const N: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Bounded<T, const N: usize>(std::marker::PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Bounded<T, N> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {N}")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element()? {
                if items.len() == N {
                    return Err(A::Error::custom(format_args!("more than {N} items")));
                }
                items.push(item);
            }
            Ok(items)
        }
    }

    deserializer.deserialize_seq(Bounded::<T, N>(std::marker::PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_field_among_others() {
        let object = r#"{"a":{"b":[1,2]},"\u0062":"x","c":null}"#;
        assert_eq!(field(object, "a").unwrap().get(), r#"{"b":[1,2]}"#);
        assert_eq!(field(object, "b").unwrap().get(), r#""x""#);
        assert!(field(object, "d").is_none() && field("[1]", "a").is_none());
    }

    #[test]
    fn a_list_has_an_end() {
        let read = |text: &str| {
            at_most::<_, u8, 2>(&mut serde_json::Deserializer::from_str(text)).map(|l| l.len())
        };
        assert_eq!(read("[1,2]").unwrap(), 2);
        assert!(read("[1,2,3]").is_err());
    }

    #[test]
    fn what_has_another_form_is_left_out() {
        let read =
            |text: &str| lenient::<_, u64>(&mut serde_json::Deserializer::from_str(text)).unwrap();
        assert_eq!(read("7"), Some(7));
        assert_eq!(read("null"), None);
        assert_eq!(read(r#"[{"a":7}]"#), None);
    }
}
