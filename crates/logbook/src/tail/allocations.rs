//! The folders in which jobs write their logs, looked at only where something has changed.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ionet_foreign::{Folder, Seen, Source, unless_away};

use super::Looks;
use super::series::{MOST_ENTRIES, job_series};

/// More streams of one allocation are not taken over: a job can make files without end.
const MOST_STREAMS: usize = 64;
const MOST_ALLOCATIONS: usize = 128;
/// Looks at an allocation without logs before that waits for its folder to change.
const PATIENCE: u32 = 1000;
/// A folder that changed this short a time ago may have changed twice at one time by its clock.
const SETTLED: Duration = Duration::from_secs(2);

pub(crate) struct Allocations {
    source: Source,
    root: Option<Listed>,
    known: BTreeMap<String, Logs>,
    looks: Looks,
}

/// A folder, and how it was when it was listed.
struct Listed {
    folder: Folder,
    seen: Option<Seen>,
}

/// One allocation's logs.
#[derive(Default)]
pub(crate) struct Logs {
    listed: Option<Listed>,
    tries: u32,
    series: BTreeMap<String, Vec<u64>>,
    /// Logs beyond the limit.
    pub(crate) more: usize,
}

impl Allocations {
    pub(crate) fn new(source: Source, looks: Looks) -> Self {
        Self { source, root: None, known: BTreeMap::new(), looks }
    }

    /// Forgets what was open: it has to be opened anew.
    pub(crate) fn let_go(&mut self) {
        self.root = None;
        self.known.clear();
    }

    /// Brings itself up to date. Where nobody answers, nothing is known to be gone.
    pub(crate) fn look(&mut self) -> io::Result<()> {
        let Some(root) = up_to_date(&mut self.root, &self.source)? else {
            self.known.clear();
            return Ok(());
        };
        if root.has_changed()?
            && let Some(names) = unless_away(root.list(&self.looks))?
        {
            let ids: Vec<_> = names.into_iter().filter(|name| is_id(name)).take(MOST_ALLOCATIONS).collect();
            self.known.retain(|id, _| ids.contains(id));
            for id in ids {
                self.known.entry(id).or_default();
            }
            self.known.values_mut().for_each(|logs| logs.tries = 0);
        }
        for (id, logs) in &mut self.known {
            logs.look(&root.folder, id, &self.looks)?;
        }
        Ok(())
    }

    /// Each allocation with each of its logs.
    pub(crate) fn logs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.known.iter().flat_map(|(id, logs)| logs.series.keys().map(|log| (id.as_str(), log.as_str())))
    }

    /// Where a log's files lie, and their numbers.
    pub(crate) fn files(&self, id: &str, log: &str) -> Option<(&Folder, &[u64])> {
        let logs = self.known.get(id)?;
        Some((&logs.listed.as_ref()?.folder, logs.series.get(log)?))
    }

    /// Allocations with more logs than are taken over.
    pub(crate) fn crowded(&self) -> impl Iterator<Item = (&String, usize)> {
        self.known.iter().map(|(id, logs)| (id, logs.more)).filter(|(_, more)| *more > 0)
    }
}

impl Logs {
    fn look(&mut self, root: &Folder, id: &str, looks: &Looks) -> io::Result<()> {
        if let Some(listed) = &self.listed
            && listed.is_removed()?
        {
            *self = Self::default();
        }
        if self.listed.is_none() && self.tries < PATIENCE {
            self.tries += 1;
            let folder = root.folder(id).and_then(|folder| folder.folder("alloc")?.folder("logs"));
            self.listed = unless_away(folder)?.map(|folder| Listed { folder, seen: None });
        }
        let Some(listed) = &mut self.listed else { return Ok(()) };
        if listed.has_changed()? {
            looks.count();
            let seen = unless_away(listed.folder.seen())?;
            if let Some((series, more)) = unless_away(job_series(&listed.folder, MOST_STREAMS))? {
                (self.series, self.more, listed.seen) = (series, more, seen);
            }
        }
        Ok(())
    }
}

impl Listed {
    fn has_changed(&self) -> io::Result<bool> {
        let now = unless_away(self.folder.seen())?;
        Ok(now.is_none() || now != self.seen || now.is_some_and(|seen| !is_settled(seen)))
    }

    fn is_removed(&self) -> io::Result<bool> {
        Ok(unless_away(self.folder.seen())?.is_none_or(|seen| seen.removed))
    }

    fn list(&mut self, looks: &Looks) -> io::Result<Vec<String>> {
        looks.count();
        let seen = unless_away(self.folder.seen())?;
        let names = self.folder.names(MOST_ENTRIES)?;
        self.seen = seen;
        Ok(names)
    }
}

/// The source's folder, opened again where it is another one by now.
fn up_to_date<'a>(root: &'a mut Option<Listed>, source: &Source) -> io::Result<Option<&'a mut Listed>> {
    if let Some(listed) = root
        && listed.is_removed()?
    {
        *root = None;
    }
    if root.is_none() {
        *root = unless_away(source.open())?.map(|folder| Listed { folder, seen: None });
    }
    Ok(root.as_mut())
}

fn is_settled(seen: Seen) -> bool {
    let (seconds, _) = seen.modified;
    // A time that this system cannot write down is none of the last seconds.
    let modified = UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()));
    let age = modified.map(|modified| SystemTime::now().duration_since(modified));
    age.is_none_or(|age| age.is_ok_and(|age| age > SETTLED))
}

fn is_id(name: &str) -> bool {
    let hex = |byte: u8| byte == b'-' || byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    name.len() == 36 && name.bytes().all(hex)
}
