//! What stands in a file of ours, or how it is damaged.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::error::{FileError, Trouble};
use crate::files;

/// The file is there, and what is in it cannot be ours. Says nothing of the content, which may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    #[error("it is empty")]
    Empty,
    /// What a file system leaves of a file that was written when the power went.
    #[error("it is filled with zeros")]
    Zeroed,
    #[error("its end is missing")]
    Torn,
    #[error("it is not of this form (line {line}, column {column})")]
    Foreign { line: usize, column: usize },
    #[error("it is larger than any of ours")]
    TooLarge,
    #[error("something else lies in its place")]
    NotAFile,
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the file is damaged: {0}")]
    Damaged(Damage),
    #[error(transparent)]
    File(FileError),
}

/// The file's JSON, or nothing where there is no such file.
pub fn load_json<T: DeserializeOwned>(path: &Path, limit: u64) -> Result<Option<T>, LoadError> {
    match files::read(path, limit) {
        Ok(None) => Ok(None),
        Ok(Some(content)) => parse_json(&content).map(Some).map_err(LoadError::Damaged),
        Err(error) => Err(match error.trouble {
            Trouble::NotAFile => LoadError::Damaged(Damage::NotAFile),
            Trouble::TooLarge => LoadError::Damaged(Damage::TooLarge),
            Trouble::Full
            | Trouble::ReadOnly
            | Trouble::Failing
            | Trouble::Permission
            | Trouble::Vanished
            | Trouble::Other => LoadError::File(error),
        }),
    }
}

/// The same of content that was read already. The mark that some editors put before a text is passed over.
pub fn parse_json<T: DeserializeOwned>(content: &[u8]) -> Result<T, Damage> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    if content.trim_ascii().is_empty() {
        return Err(Damage::Empty);
    }
    serde_json::from_slice(content).map_err(|error| match error.classify() {
        Category::Syntax | Category::Eof | Category::Io | Category::Data if content.contains(&0) => {
            Damage::Zeroed
        }
        Category::Eof => Damage::Torn,
        Category::Syntax | Category::Data | Category::Io => {
            Damage::Foreign { line: error.line(), column: error.column() }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    type Numbers = BTreeMap<String, u32>;

    fn load(content: &[u8]) -> Result<Option<Numbers>, LoadError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers.json");
        fs::write(&path, content).unwrap();
        load_json(&path, 1000)
    }

    #[test]
    fn every_kind_of_damage_is_told_apart() {
        let damaged: [(&[u8], Damage); 8] = [
            (b"", Damage::Empty),
            (b" \n", Damage::Empty),
            (&[0; 412], Damage::Zeroed),
            (b"{\"a\": 1}\0\0\0\0", Damage::Zeroed),
            (b"{\"a\": 1", Damage::Torn),
            (b"[1, 2]", Damage::Foreign { line: 1, column: 0 }),
            (b"<html>", Damage::Foreign { line: 1, column: 1 }),
            (&[b' '; 1001], Damage::TooLarge),
        ];
        for (content, damage) in damaged {
            let refused = load(content).unwrap_err();
            assert!(
                matches!(refused, LoadError::Damaged(found) if found == damage),
                "{content:?}: {refused}"
            );
        }
    }

    #[test]
    fn what_is_in_a_damaged_file_is_not_repeated() {
        for content in ["{\"token\": \"hunter2\"}", "hunter2", "{\"hunter2\": -1}"] {
            let refused = load(content.as_bytes()).unwrap_err();
            assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused:?}");
        }
    }

    #[test]
    fn a_file_saved_by_an_editor_that_marks_its_texts_is_read() {
        assert_eq!(load(b"\xef\xbb\xbf{\"a\": 1}\n").unwrap(), Some(BTreeMap::from([("a".to_owned(), 1)])));
    }

    #[test]
    fn a_missing_file_is_no_damage() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load_json::<Numbers>(&folder.path().join("numbers.json"), 10).unwrap().is_none());
    }

    #[test]
    fn a_folder_in_its_place_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            load_json::<Numbers>(folder.path(), 10).unwrap_err(),
            LoadError::Damaged(Damage::NotAFile)
        ));
    }

    proptest! {
        #[test]
        fn any_beginning_of_a_good_file_is_damage_and_never_a_value(cut in 0_usize..14) {
            let whole = b"{\"a\":1,\"b\":22}";
            prop_assert!(parse_json::<Numbers>(&whole[..cut]).is_err());
        }

        #[test]
        fn any_bytes_are_a_value_or_damage(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_json::<Numbers>(&content);
        }
    }
}
