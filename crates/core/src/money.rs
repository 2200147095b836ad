//! Money: an integer of millionths inside, a decimal string at every border.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount in millionths of the currency's unit. Serialises as a decimal string with six places (`"0.012345"`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Money {
    pub micros: i64,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a decimal amount with at most six places: {0:?}")]
pub struct NotMoney(pub String);

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.micros < 0 { "-" } else { "" };
        let abs = self.micros.unsigned_abs();
        write!(f, "{sign}{}.{:06}", abs / 1_000_000, abs % 1_000_000)
    }
}

impl FromStr for Money {
    type Err = NotMoney;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || NotMoney(text.to_owned());
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || part.is_empty() || part.len() > 6 || !all_digits(whole) || !all_digits(part) {
            return Err(bad());
        }
        let whole: i64 = whole.parse().map_err(|_| bad())?;
        let part: i64 = format!("{part:0<6}").parse().map_err(|_| bad())?;
        let micros = whole.checked_mul(1_000_000).and_then(|w| w.checked_add(part)).ok_or_else(bad)?;
        Ok(Self { micros: if negative { -micros } else { micros } })
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "bindings")]
impl specta::Type for Money {
    fn definition(types: &mut specta::Types) -> specta::datatype::DataType {
        <String as specta::Type>::definition(types)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_survives_the_border_both_ways() {
        for micros in [0, 1, -1, 999_999, 1_000_000, 3_420_000, -12_345_678, i64::MAX] {
            let text = Money { micros }.to_string();

            assert_eq!(text.parse(), Ok(Money { micros }), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", ".", "1.", "1.1234567", "1e3", "+1", "1,5", "99999999999999999999"] {
            let parsed = text.parse::<Money>();

            assert_eq!(parsed, Err(NotMoney(text.to_owned())));
        }
    }
}
