pub(super) use super::unix::Process;
use super::{APP, Folders, FoldersError, Surroundings, home};

pub(super) fn folders(surroundings: &impl Surroundings) -> Result<Folders, FoldersError> {
    let home = home(surroundings)?.filter(|home| surroundings.is_usable(home)).ok_or(FoldersError::NoHome)?;
    let support = home.join("Library/Application Support").join(APP);
    Ok(Folders {
        config: support.join("config"),
        data: support.join("data"),
        logs: home.join("Library/Logs").join(APP),
        run: support.join("run"),
    })
}
