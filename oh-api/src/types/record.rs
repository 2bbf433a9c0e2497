//! Records of the API that keep their JSON text.
//!
//! Values of unknown form and size, such as a file's metadata, are parsed from the text when they
//! are requested. As trees of values they would need up to a hundred times the memory of the text.

use std::fmt;

use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The JSON text of a record. Its `Debug` output is empty, because the text can contain URLs with
/// secrets.
#[derive(Clone, Default)]
pub(crate) struct Raw(Box<str>);

impl Raw {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns a field's value if it exists and has the type `T`.
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

/// Returns the text of one field of a JSON object.
pub(crate) fn field<'a>(object: &'a str, name: &str) -> Option<&'a RawValue> {
    struct FieldVisitor<'n>(&'n str);

    impl<'de> Visitor<'de> for FieldVisitor<'_> {
        type Value = Option<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut field = None;
            while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                let value: &'de RawValue = map.next_value()?;
                if key == self.0 {
                    field = Some(value);
                }
            }
            Ok(field)
        }
    }

    let mut json = serde_json::Deserializer::from_str(object);
    json.deserialize_map(FieldVisitor(name)).ok().flatten()
}

/// Implements `Deserialize`, `raw` and `field` for records that have a field `raw` and derive
/// `Deserialize` with `#[serde(remote = "Self")]`.
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
            /// Returns the record's JSON text as the server sent it. It can contain URLs that work
            /// without a token: treat it as a secret.
            pub fn raw(&self) -> &str {
                self.raw.as_str()
            }

            /// Returns any field of the record by its name, if it exists and has the type `T`.
            pub fn field<T: serde::de::DeserializeOwned>(&self, name: &str) -> Option<T> {
                self.raw.field(name)
            }
        }
    )*};
}
pub(crate) use deserialize_with_raw;

/// Deserializes a value, or `None` if it has another type.
pub(crate) fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let value = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(value.get()).ok())
}

/// Deserializes a text or a whole number as text.
pub(crate) fn text_or_number<'de, D>(deserializer: D) -> Result<Option<String>, D::Error>
where
    D: Deserializer<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Text(String),
        Number(u64),
    }
    Ok(match lenient(deserializer)? {
        Some(Id::Text(text)) => Some(text),
        Some(Id::Number(number)) => Some(number.to_string()),
        None => None,
    })
}

/// Deserializes a list of at most `N` items. The limit bounds the memory, because an item needs more
/// memory than its text.
pub(crate) fn bounded_list<'de, D, T, const N: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct ListVisitor<T, const N: usize>(std::marker::PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for ListVisitor<T, N> {
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

    deserializer.deserialize_seq(ListVisitor::<T, N>(std::marker::PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_returns_raw_value_by_name() {
        let object = r#"{"a":{"b":[1,2]},"\u0062":"x","c":null}"#;
        assert_eq!(field(object, "a").unwrap().get(), r#"{"b":[1,2]}"#);
        assert_eq!(field(object, "b").unwrap().get(), r#""x""#);
        assert!(field(object, "d").is_none() && field("[1]", "a").is_none());
    }

    #[test]
    fn bounded_list_rejects_too_many_items() {
        let read = |text: &str| {
            bounded_list::<_, u8, 2>(&mut serde_json::Deserializer::from_str(text)).map(|l| l.len())
        };
        assert_eq!(read("[1,2]").unwrap(), 2);
        assert!(read("[1,2,3]").is_err());
    }

    #[test]
    fn lenient_returns_none_for_other_type() {
        let read =
            |text: &str| lenient::<_, u64>(&mut serde_json::Deserializer::from_str(text)).unwrap();
        assert_eq!(read("7"), Some(7));
        assert_eq!(read("null"), None);
        assert_eq!(read(r#"[{"a":7}]"#), None);
    }
}
