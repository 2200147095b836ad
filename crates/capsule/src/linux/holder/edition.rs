//! Which edition of a program lies somewhere: one that was replaced is another, whatever its name.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::place::Programs;

/// None where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edition(Option<[i64; 7]>);

impl Edition {
    pub(crate) fn of(program: &Path) -> Self {
        let numbers = |file: fs::Metadata| {
            let (device, number) = (file.dev() as i64, file.ino() as i64);
            // A package may give all of its files one time: that of the change nobody chooses.
            [
                device,
                number,
                file.size() as i64,
                file.mtime(),
                file.mtime_nsec(),
                file.ctime(),
                file.ctime_nsec(),
            ]
        };
        Self(fs::metadata(program).ok().map(numbers))
    }
}

pub(crate) fn of_all(programs: &Programs) -> Vec<Edition> {
    programs.agent.iter().chain(programs.beside.values()).map(|program| Edition::of(program)).collect()
}
