use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command};

use super::super::stage::Stage;
use super::*;

#[test]
fn a_process_whose_name_is_no_text_is_seen_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join(std::ffi::OsStr::from_bytes(b"\xff) \xfe"));
    std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
    let mut child = Command::new(program).arg("60").spawn().unwrap();

    let seen = row(child.id() as i32);
    child.kill().unwrap();
    child.wait().unwrap();

    assert_eq!(seen.map(|row| row.parent), Some(std::process::id() as i32));
}

#[test]
fn a_process_with_brackets_and_spaces_in_its_name_is_read_rightly() {
    let own = row(std::process::id() as i32).unwrap();

    assert!(own.started > 0 && own.parent > 0 && !own.is_dead());
    assert_eq!(row(-1), None);
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Whom a process comes from counts, not what it says.
#[tokio::test]
async fn whoever_comes_from_an_executor_is_a_task_whatever_it_says_and_nobody_else_is_ours() {
    let mut stage = Stage::new();
    let theirs = Ended(Command::new("sleep").arg("600").spawn().unwrap());
    let family = stage.executor(
        "mkdir sub; cd sub; for name in executor agent logmon guard; do echo 'sleep 600; true' > $name; sh $name & done; wait",
    );
    stage.until_tasks(8).await;

    let mut members = family.members().unwrap();
    let helpers: Vec<Member> = members.extract_if(.., |member| member.role == Role::Agent).collect();

    assert_eq!(helpers.iter().map(|helper| helper.row.parent).collect::<Vec<_>>(), [family.guard]);
    assert_eq!(members.len(), 8);
    assert!(!members.iter().any(|member| member.row.pid == theirs.0.id() as i32));
}

/// Nomad's helpers outlive it, and are not a job's.
#[tokio::test]
async fn of_those_who_have_lost_their_parent_whoever_runs_nomads_program_is_nomads() {
    let mut stage = Stage::new();
    let family = stage.executor("sleep 600; true");
    stage.until_tasks(1).await;
    let left = |program: Option<PathBuf>| {
        let members = Family { agent: None, program, ..family.clone() }.members().unwrap();
        let roles = members.into_iter().map(|member| (member.row.parent == family.guard, member.role));
        roles.collect::<std::collections::BTreeMap<_, _>>()
    };

    assert_eq!(left(None)[&true], Role::Task);
    assert_eq!(left(Some(PathBuf::from("/bin/sleep")))[&true], Role::Task);
    let nomad = left(program(family.guard));

    assert_eq!((nomad[&true], nomad[&false]), (Role::Agent, Role::Task));
}
