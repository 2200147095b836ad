//! Jobs stand still, and go on, by the control group above them: all of them, or the containers of one allocation.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::IN;
use crate::engine::JOBS;
use crate::linux::control::{Groups, Version};
use crate::place::Jobs;

const SETTLED_WITHIN: Duration = Duration::from_secs(1);

impl Groups {
    /// The group above all jobs is there, so that it can be frozen before the first one comes. Whoever stands still as one of all goes on
    /// when all do, unless they are frozen by themselves too.
    ///
    /// # Errors
    /// What the kernel says; also where a group is not there, since then nobody knows who stands still.
    pub(crate) fn freeze(&self, jobs: &Jobs, frozen: bool) -> io::Result<()> {
        // On version 1 that is the business of one controller.
        let above = self.above.iter().find(|above| above.join(self.file()).exists());
        let all = above.ok_or_else(gone)?.join(IN).join(JOBS);
        let deadline = Instant::now() + SETTLED_WITHIN;
        match jobs {
            Jobs::All => {
                // The first process inside makes it a moment after its start.
                while !all.exists() && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(1));
                }
                self.write(&all, frozen)?;
                self.settled(&all, frozen, deadline)
            }
            Jobs::Of(containers) => {
                let groups: Vec<PathBuf> = containers.iter().map(|one| all.join(one.id())).collect();
                groups.iter().try_for_each(|group| self.write(group, frozen))?;
                // Let go of, they may stand still with all others.
                let waited_for = if frozen { groups.as_slice() } else { &[] };
                waited_for.iter().try_for_each(|group| self.settled(group, frozen, deadline))
            }
        }
    }

    fn file(&self) -> &'static str {
        match self.version {
            Version::One => "freezer.state",
            Version::Two => "cgroup.freeze",
        }
    }

    /// Root inside can take a group away, and whoever was in it is anywhere.
    fn write(&self, group: &Path, frozen: bool) -> io::Result<()> {
        let word = match (self.version, frozen) {
            (Version::One, true) => "FROZEN",
            (Version::One, false) => "THAWED",
            (Version::Two, true) => "1",
            (Version::Two, false) => "0",
        };
        match fs::File::options().write(true).open(group.join(self.file())) {
            Ok(mut file) => file.write_all(word.as_bytes()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(gone()),
            Err(error) => Err(error),
        }
    }

    /// The kernel says when all stand still.
    fn settled(&self, group: &Path, frozen: bool, deadline: Instant) -> io::Result<()> {
        let read = |name: &str| fs::read_to_string(group.join(name));
        let holds = || -> io::Result<bool> {
            Ok(match self.version {
                Version::One => read(self.file())?.trim() == if frozen { "FROZEN" } else { "THAWED" },
                Version::Two => {
                    read("cgroup.events")?.lines().any(|line| line == format!("frozen {}", u8::from(frozen)))
                }
            })
        };
        while !holds()? {
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_micros(300));
        }
        Ok(())
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the group of these jobs is not there")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_group_of_all_jobs_is_gone_nothing_counts_as_frozen() {
        let top = tempfile::tempdir().unwrap();
        let above = ["cpu", "freezer"].map(|controller| top.path().join(controller).join("ionet-t"));
        let jobs = above[1].join(IN).join(JOBS);
        fs::create_dir_all(&jobs).unwrap();
        let groups = Groups { version: Version::One, above: above.clone().into() };
        let refused = |jobs: &Jobs, frozen| groups.freeze(jobs, frozen).unwrap_err().kind();

        assert_eq!(refused(&Jobs::All, true), io::ErrorKind::NotFound, "not even a controller");
        fs::write(above[1].join("freezer.state"), "").unwrap();
        assert_eq!(refused(&Jobs::All, true), io::ErrorKind::NotFound);
        assert_eq!(refused(&Jobs::All, false), io::ErrorKind::NotFound);
        fs::write(jobs.join("freezer.state"), "").unwrap();
        groups.freeze(&Jobs::All, true).unwrap();
        assert_eq!(fs::read_to_string(jobs.join("freezer.state")).unwrap(), "FROZEN");

        let one = Jobs::Of(vec!["0".repeat(64).parse().unwrap()]);
        assert_eq!(refused(&one, true), io::ErrorKind::NotFound, "a container that has ended, or never was");
    }
}
