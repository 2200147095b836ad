use super::*;

const ALLOC: &str = "fedbb3b1-dae0-a47b-538b-62dec51212a9";

fn facts(arguments: &[&str], environment: &[String]) -> Facts {
    Facts {
        pid: -1,
        arguments: arguments.iter().map(|text| text.as_bytes().to_vec()).collect(),
        environment: environment.join("\0").into_bytes(),
        groups: String::new(),
    }
}

fn role(arguments: &[&str], environment: &[String]) -> Option<(Role, Option<String>)> {
    facts(arguments, environment).role(&Scope::new(Path::new("/data/agent")), &BTreeSet::new())
}

fn executor(folder: &str) -> String {
    format!("{{\"LogFile\":\"{folder}/alloc/{ALLOC}/t/executor.out\",\"LogLevel\":\"info\"}}")
}

#[test]
fn an_executor_is_ours_only_when_its_log_lies_below_our_folder() {
    let ours = role(&["/usr/bin/nomad", "executor", &executor("/data/agent")], &[]);
    let other = role(&["/usr/bin/nomad", "executor", &executor("/data/agent2")], &[]);

    assert_eq!(ours, Some((Role::Executor, Some(ALLOC.to_owned()))));
    assert_eq!(other, None);
}

#[test]
fn a_task_is_ours_by_the_folders_in_its_environment() {
    let alloc_dir = format!("NOMAD_ALLOC_DIR=/data/agent/alloc/{ALLOC}/alloc");

    assert_eq!(role(&["sleep", "1"], &[alloc_dir]), Some((Role::Task, Some(ALLOC.to_owned()))));
    assert_eq!(role(&["sleep", "1"], &["NOMAD_ALLOC_DIR=/alloc".to_owned()]), None);
    assert_eq!(role(&["sleep", "1"], &["NOMAD_TASK_DIR=/data/agent".to_owned()]), None);
}

#[test]
fn a_log_collector_and_an_agent_are_ours_by_the_guards_mark() {
    let cookie = "NOMAD_PLUGIN_MAGIC_COOKIE=x".to_owned();
    let mark = format!("{MARK}=17:99:/data/agent");

    let logmon = role(&["/usr/bin/nomad", "logmon"], &[cookie.clone(), mark.clone()]);

    assert_eq!(logmon, Some((Role::Logmon, None)));
    assert_eq!(role(&["/usr/bin/nomad", "logmon"], &[cookie]), None);
    assert_eq!(
        role(&["nomad", "agent", "-config", "x"], std::slice::from_ref(&mark)),
        Some((Role::Agent, None))
    );
    assert_eq!(facts(&[], &[mark]).guard(&Scope::new(Path::new("/data/agent"))), Some((17, 99)));
}

#[test]
fn a_process_whose_name_is_no_text_is_seen_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join(std::ffi::OsStr::from_bytes(b"\xff) \xfe"));
    std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
    let mut child = std::process::Command::new(program).arg("60").spawn().unwrap();

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

/// What a process says of itself is a job's to choose.
#[test]
fn who_is_in_a_jobs_group_or_container_is_a_task_whatever_it_says() {
    let mut scope = Scope::new(Path::new("/data/agent"));
    scope.know(Arc::new(std::sync::Mutex::new(BTreeSet::from(["c0ffee".to_owned()]))));
    let allocations = BTreeSet::from([ALLOC.to_owned()]);
    let cookie = "NOMAD_PLUGIN_MAGIC_COOKIE=x".to_owned();
    let mark = format!("{MARK}=17:99:/data/agent");
    for groups in [format!("0::/nomad/{ALLOC}.t\n"), "0::/system.slice/docker-c0ffee.scope\n".to_owned()] {
        let said = [
            facts(&["x", "executor", &executor("/data/agent")], &[]),
            facts(&["x", "logmon"], &[cookie.clone(), mark.clone()]),
            facts(&["x", "docker_logger"], &[cookie.clone(), mark.clone()]),
            facts(&["x", "agent"], std::slice::from_ref(&mark)),
            facts(&["x"], std::slice::from_ref(&mark)),
        ];
        for facts in said {
            let facts = Facts { groups: groups.clone(), ..facts };
            let role = facts.role(&scope, &allocations).map(|(role, _)| role);
            assert_eq!(role, Some(Role::Task), "{:?} in {groups}", facts.arguments);
        }
    }
}
