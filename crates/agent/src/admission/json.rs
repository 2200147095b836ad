//! A description as the engine understands it. That is written in Go, whose reader takes a name in any capitals for a field's,
//! and puts together what stands under one name twice: what only one of both readers sees must not be.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// None where it cannot be read, or says one thing twice.
pub(super) fn read(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok().map(|Once(value)| value)
}

/// Whether the engine takes that for this field's name, which is plain ASCII. Two letters beside it have one of ASCII for
/// their small one: the long s, and the sign of kelvin.
pub(super) fn is_name(written: &str, name: &str) -> bool {
    let small = |letter| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    written.chars().map(small).eq(name.chars().map(small))
}

/// Any value in which no object has a name twice.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Any).map(Self)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Once(value)) = all.next_element()? {
            list.push(value);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((name, Once(value))) = all.next_entry::<String, Once>()? {
            if fields.insert(name, value).is_some() {
                return Err(A::Error::custom("a name twice"));
            }
        }
        Ok(fields.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_once_is_read_as_it_stands_and_what_is_said_twice_not_at_all() {
        let plain = r#"{"a": [1, -1, 1.5, "x", null, true, {"A": {"a": 0}}], "b": {"a": 1}}"#;
        assert_eq!(read(plain.as_bytes()), serde_json::from_str(plain).ok());

        for twice in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"a": null, "a": {}}"#,
            r#"{"a": {"b": 1, "b": 2}}"#,
            r#"[{"a": 1, "\u0061": 2}]"#,
            r#"{"a": 1} {"a": 1}"#,
        ] {
            assert_eq!(read(twice.as_bytes()), None, "{twice}");
        }
    }

    #[test]
    fn a_name_is_one_in_all_letters_that_the_engine_takes_for_its_own() {
        for written in ["NetworkMode", "networkmode", "NETWORKMODE", "networ\u{212a}Mode"] {
            assert!(is_name(written, "NetworkMode"), "{written}");
        }
        assert!(is_name("Bind\u{17f}", "Binds") && is_name("DEVICE\u{17f}", "Devices"));
        for other in ["Network_Mode", "NetworkMod", "NetworkModes", "N\u{e9}tworkMode", "B\u{131}nds"] {
            assert!(!is_name(other, "NetworkMode") && !is_name(other, "Binds"), "{other}");
        }
    }
}
