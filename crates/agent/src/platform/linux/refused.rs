//! What an engine's refusal of a job's container says about this PC. Only two things count: that the engine cannot reach
//! the folders that Nomad made for the job, and that what starts containers, or gives them a card, does not run.
//! Everything else is the job's own, and one job stops nobody else's work.
//!
//! A refusal quotes what the job wrote: its command, its user, its paths. So its cause is read from its head, where the
//! engine's own words stand, and never looked for anywhere in it.

use std::path::{Component, Path, PathBuf};

use ionet_core::fault::EngineFault;

/// None where it is the job's own, as the state of its folders is once something of it may have run. Asks the disk whether a
/// folder is there.
pub(super) fn of_this_pc(
    message: &str,
    data_dir: &Path,
    may_have_run: impl Fn(&str) -> bool,
) -> Option<EngineFault> {
    let (cause, of) = cause(message);
    let unreachable = || {
        let folder = unreached_folder(cause)?;
        let allocation = nomads_own(&folder, data_dir)?;
        let ours = !may_have_run(&allocation) && folder.exists();
        ours.then(|| EngineFault::FoldersOutOfReach(data_dir.display().to_string()))
    };
    unreachable().or_else(|| match of {
        Of::Engine => program_gone(cause),
        Of::Container => hook_failed(cause),
    })
}

/// Who speaks the cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// The engine, of what it starts containers with.
    Engine,
    /// What makes the container: what cannot be run from here on is the job's own program.
    Container,
}

/// The cause without the words of those who pass it on.
fn cause(message: &str) -> (&str, Of) {
    const ENGINE: [&str; 9] = [
        "failed to create task for container",
        "failed to create shim task",
        "failed to create shim",
        "failed to start shim",
        "start failed",
        "oci runtime create failed",
        "oci runtime error",
        "runc create failed",
        "unable to retrieve oci runtime error",
    ];
    const CONTAINER: [&str; 4] = [
        "unable to start container process",
        "starting container process caused",
        "error during container init",
        "container init caused",
    ];
    let (mut rest, mut of) = (message, Of::Engine);
    loop {
        // Older ones put a cause into quotes, and those into quotes again.
        rest = rest.trim_start_matches(|letter: char| letter.is_whitespace() || ":\"\\".contains(letter));
        if let Some(after) = without(rest, &ENGINE) {
            rest = after;
        } else if let Some(after) = without(rest, &CONTAINER) {
            (rest, of) = (after, Of::Container);
        } else if let Some(after) = place(rest) {
            rest = after;
        } else {
            return (rest, of);
        }
    }
}

fn without<'a>(text: &'a str, beginnings: &[&str]) -> Option<&'a str> {
    beginnings.iter().find_map(|beginning| {
        let head = text.get(..beginning.len())?;
        head.eq_ignore_ascii_case(beginning).then(|| &text[beginning.len()..])
    })
}

/// After a line of somebody's source (`process_linux.go:545`), or what could not be opened meanwhile.
fn place(text: &str) -> Option<&str> {
    if text.starts_with("(open ") {
        return text.split_once("): ").map(|(_, after)| after);
    }
    let (head, after) = text.split_once(' ')?;
    let (file, line) = head.trim_end_matches(':').rsplit_once(':')?;
    let is_line = file.ends_with("_linux.go") && line.bytes().all(|byte| byte.is_ascii_digit());
    is_line.then_some(after)
}

/// The folder of the host that the engine says it could not reach.
fn unreached_folder(cause: &str) -> Option<PathBuf> {
    // What it makes where it sees none: it can neither see this one nor make it.
    const SEEN: [&str; 2] = ["error while creating mount source path", "error setting label on mount source"];
    if let Some(after) = without(cause, &SEEN) {
        return quoted(after).map(PathBuf::from);
    }
    if let Some(after) = without(cause, &["error mounting", "mounting"]) {
        return is_out_of_reach(cause).then(|| quoted(after)).flatten().map(PathBuf::from);
    }
    let plain = without(cause, &["invalid mount config for type \"bind\"", "failed to fulfil mount request"]);
    let plain = plain.unwrap_or(cause).trim_start_matches(": ");
    if let Some(path) = without(plain, &["bind source path does not exist: "]) {
        return Some(PathBuf::from(path.trim_end()));
    }
    let asked = without(plain, &["stat ", "lstat ", "statfs ", "open ", "mkdir "])?;
    let (path, why) = asked.split_once(": ")?;
    (path.starts_with('/') && is_out_of_reach(why)).then(|| PathBuf::from(path))
}

/// In a mount's refusal other words (that a file is no folder, say) may be about the job's own image.
fn is_out_of_reach(text: &str) -> bool {
    const WORDS: [&str; 6] = [
        ": permission denied",
        ": stale file handle",
        ": stale nfs file handle",
        ": transport endpoint is not connected",
        ": input/output error",
        ": remote i/o error",
    ];
    let text = format!(": {}", text.to_ascii_lowercase());
    let text = text.trim_end_matches(": unknown").trim_end_matches(['"', '\\']);
    WORDS.iter().any(|word| text.ends_with(word))
}

/// What stands in the first quotes, whichever they are.
fn quoted(text: &str) -> Option<&str> {
    let text = text.trim_start().trim_start_matches('\\');
    let mark = text.chars().next().filter(|mark| ['\'', '"'].contains(mark))?;
    text[1..].split(mark).next().map(|path| path.trim_end_matches('\\'))
}

/// Whose it is, of those that Nomad makes for each allocation and hands to its containers. What lies below is the job's to
/// spoil.
fn nomads_own(folder: &Path, data_dir: &Path) -> Option<String> {
    let links_resolved = data_dir.canonicalize().ok();
    let roots = [Some(data_dir), links_resolved.as_deref()];
    let below = roots.into_iter().flatten().find_map(|root| folder.strip_prefix(root.join("alloc")).ok());
    let parts: Option<Vec<&str>> = below.and_then(|below| {
        let plain = |part| if let Component::Normal(part) = part { part.to_str() } else { None };
        below.components().map(plain).collect()
    });
    match parts?.as_slice() {
        [allocation, "alloc"] => Some((*allocation).to_owned()),
        [allocation, task, "local" | "secrets" | "private" | "tmp"] if *task != "alloc" => {
            Some((*allocation).to_owned())
        }
        _ => None,
    }
}

/// What starts containers is not there, or the engine does not know it.
fn program_gone(cause: &str) -> Option<EngineFault> {
    if let Some(name) = without(cause, &["unknown or invalid runtime name: ", "unknown runtime specified "]) {
        return Some(of_program(name));
    }
    if let Some(after) = without(cause, &["exec: ", "runtime "]) {
        let gone = ["executable file not found", "no such file or directory", "file does not exist"];
        let name = quoted(after)?;
        return gone.iter().any(|words| after.contains(words)).then(|| of_program(name));
    }
    not_run(cause).map(of_program)
}

/// `fork/exec PROGRAM: why it does not run`.
fn not_run(cause: &str) -> Option<&str> {
    let (program, why) = without(cause, &["fork/exec "])?.split_once(": ")?;
    let words = ["no such file or directory", "permission denied", "exec format error"];
    words.iter().any(|word| why.starts_with(word)).then_some(program)
}

/// What gives the container its card ends with an error, before anything of the job has run.
fn hook_failed(cause: &str) -> Option<EngineFault> {
    let after = without(cause, &["error running ", "running "])?;
    let (which, said) = after.split_once(':').or_else(|| after.split_once(" caused"))?;
    if !which.contains("hook") {
        return None;
    }
    let said = said.trim_start_matches([':', ' ', '"', '\\']);
    let said = said.strip_prefix("error running hook: ").unwrap_or(said);
    if let Some(program) = not_run(said) {
        return Some(of_program(program));
    }
    // Its first complaint: a later one may repeat what the job asked for.
    let (_, words) = said.split_once("stderr: ")?;
    let complaint = words.lines().find_map(|line| line.trim().strip_prefix("nvidia-container-cli: "))?;
    let why = complaint.strip_prefix("initialization error: ")?;
    let why = why.trim_end().trim_end_matches(": unknown").trim_end_matches(['"', '\\']);
    Some(EngineFault::CardUnreachable(short(why)))
}

fn of_program(name: &str) -> EngineFault {
    let name = name.trim();
    let file = Path::new(name).file_name().and_then(|file| file.to_str()).unwrap_or(name);
    if file.starts_with("nvidia") { EngineFault::NoCard } else { EngineFault::ProgramGone(short(file)) }
}

/// For a sentence.
fn short(words: &str) -> String {
    words.lines().next().unwrap_or_default().chars().take(120).collect()
}

#[cfg(test)]
#[path = "refused_tests.rs"]
mod tests;
