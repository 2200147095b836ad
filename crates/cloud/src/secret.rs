//! What must not be seen.

use std::fmt;

/// A value that shows as `[redacted]` and is never serialised. [`Secret::reveal`] is the one way to it, so that a
/// search for it finds every place where a secret leaves this crate.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    pub fn new(value: T) -> Self {
        Self(value)
    }

    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_nothing_of_itself() {
        let secret = Some(Secret::new("hunter2".to_owned()));

        let shown = format!("{secret:?} {}", secret.as_ref().unwrap());

        assert_eq!(shown, "Some([redacted]) [redacted]");
    }
}
