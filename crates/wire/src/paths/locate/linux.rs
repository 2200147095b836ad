use std::path::{Path, PathBuf};

pub(super) use super::unix::Process;
use super::{APP, Folders, FoldersError, Surroundings, home};

/// The home folder where there is one to write to, else what a systemd unit was given.
pub(super) fn folders(surroundings: &impl Surroundings) -> Result<Folders, FoldersError> {
    let home = home(surroundings)?;
    let given = given(surroundings, "STATE_DIRECTORY");
    match (home, given) {
        (Some(home), given) if given.is_none() || surroundings.is_usable(&home) => {
            Ok(of_home(surroundings, &home))
        }
        (_, Some(state)) => Ok(of_unit(surroundings, &state)),
        (_, None) => Err(FoldersError::NoHome),
    }
}

fn of_home(surroundings: &impl Surroundings, home: &Path) -> Folders {
    let data = home.join(".local/share").join(APP);
    // `su` and `sudo` hand on that of another user.
    let ours =
        |folder: &PathBuf| surroundings.is_usable(folder) && surroundings.other_owner(folder).is_none();
    let session = surroundings.path("XDG_RUNTIME_DIR").filter(ours);
    Folders {
        config: home.join(".config").join(APP),
        run: session.map_or_else(|| data.join("run"), |session| session.join(APP)),
        data,
        logs: home.join(".local/state").join(APP).join("logs"),
    }
}

fn of_unit(surroundings: &impl Surroundings, state: &Path) -> Folders {
    let usual = Folders::below(state);
    Folders {
        config: given(surroundings, "CONFIGURATION_DIRECTORY")
            .filter(|folder| surroundings.is_usable(folder))
            .unwrap_or(usual.config),
        logs: given(surroundings, "LOGS_DIRECTORY").unwrap_or(usual.logs),
        run: given(surroundings, "RUNTIME_DIRECTORY").unwrap_or(usual.run),
        data: usual.data,
    }
}

/// systemd separates several by colons; the first is ours.
fn given(surroundings: &impl Surroundings, name: &str) -> Option<PathBuf> {
    let folders = surroundings.variable(name)?;
    std::env::split_paths(&folders).next().filter(|folder| folder.is_absolute())
}
