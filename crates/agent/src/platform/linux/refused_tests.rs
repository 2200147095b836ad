use std::fs;

use super::*;

/// A data folder with an allocation's folders as Nomad makes them.
fn data() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["a1/alloc/data", "a1/task/local/cache", "a1/task/secrets", "ran/alloc"] {
        fs::create_dir_all(dir.path().join("alloc").join(folder)).unwrap();
    }
    dir
}

fn heard(data: &tempfile::TempDir, message: &str) -> Option<EngineFault> {
    let folder = data.path().display().to_string();
    of_this_pc(&message.replace("DATA", &folder), data.path(), |allocation| allocation == "ran")
}

const RUNC: &str = "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: ";
const OLD: &str = "OCI runtime create failed: container_linux.go:380: starting container process caused: process_linux.go:545: container init caused: ";

#[test]
fn folders_that_the_engine_cannot_reach_are_this_pcs() {
    let data = data();
    let out_of_reach = Some(EngineFault::FoldersOutOfReach(data.path().display().to_string()));
    for message in [
        "error while creating mount source path 'DATA/alloc/a1/alloc': mkdir DATA: permission denied",
        "error while creating mount source path 'DATA/alloc/a1/task/local': mkdir DATA: file exists",
        "error while creating mount source path 'DATA/alloc/a1/task/local': mkdir /home: read-only file system",
        "invalid mount config for type \"bind\": bind source path does not exist: DATA/alloc/a1/task/secrets",
        "invalid mount config for type \"bind\": stat DATA/alloc/a1/task/secrets: permission denied",
        "error setting label on mount source 'DATA/alloc/a1/alloc': relabel failed: operation not supported",
        &format!(
            "{RUNC}error mounting \"DATA/alloc/a1/alloc\" to rootfs at \"/alloc\": mount src=DATA/alloc/a1/alloc, dst=/alloc, dstFd=/proc/thread-self/fd/8, flags=MS_BIND|MS_REC: permission denied: unknown"
        ),
        &format!(
            "{RUNC}error mounting \"DATA/alloc/a1/alloc\" to rootfs at \"/alloc\": stat DATA/alloc/a1/alloc: stale NFS file handle: unknown"
        ),
        &format!(
            "{RUNC}failed to fulfil mount request: open DATA/alloc/a1/task/local: permission denied: unknown"
        ),
        &format!(
            "{OLD}rootfs_linux.go:76: mounting \"DATA/alloc/a1/alloc\" to rootfs at \"/alloc\" caused: mount through procfd: permission denied: unknown"
        ),
        "OCI runtime create failed: container_linux.go:349: starting container process caused \"process_linux.go:449: container init caused \\\"rootfs_linux.go:58: mounting \\\\\\\"DATA/alloc/a1/alloc\\\\\\\" to rootfs \\\\\\\"/var/lib/x\\\\\\\" at \\\\\\\"/alloc\\\\\\\" caused \\\\\\\"stat DATA/alloc/a1/alloc: transport endpoint is not connected\\\\\\\"\\\"\": unknown",
    ] {
        assert_eq!(heard(&data, message), out_of_reach, "{message}");
    }
}

const SHIM: &str =
    "failed to create task for container: failed to create shim task: OCI runtime create failed: ";
const MISMATCH: &str =
    "nvidia-container-cli: initialization error: nvml error: driver/library version mismatch";

#[test]
fn what_starts_containers_is_this_pcs_where_it_is_gone() {
    let data = data();
    let unread = "unable to retrieve OCI runtime error (open /run/x/log.json: no such file or directory): ";
    for message in [
        "unknown or invalid runtime name: nvidia".to_owned(),
        "Unknown runtime specified nvidia".to_owned(),
        format!(
            "{SHIM}{unread}exec: \"nvidia-container-runtime\": executable file not found in $PATH: unknown"
        ),
        format!(
            "{SHIM}{unread}fork/exec /usr/bin/nvidia-container-runtime: no such file or directory: unknown"
        ),
        format!("{SHIM}exec: \"nvidia-container-runtime-hook\": executable file not found in $PATH: unknown"),
        format!(
            "{RUNC}error running prestart hook #0: fork/exec /usr/bin/nvidia-container-runtime-hook: no such file or directory: unknown"
        ),
    ] {
        assert_eq!(heard(&data, &message), Some(EngineFault::NoCard), "{message}");
    }
    let gone = Some(EngineFault::ProgramGone("runc".to_owned()));
    assert_eq!(
        heard(&data, &format!("{SHIM}exec: \"runc\": executable file not found in $PATH: unknown")),
        gone
    );
    let shim = "failed to start shim: start failed: exec: \"containerd-shim-runc-v2\": executable file not found in $PATH";
    assert!(matches!(heard(&data, shim), Some(EngineFault::ProgramGone(_))));
}

#[test]
fn a_driver_that_containers_cannot_reach_is_this_pcs() {
    let data = data();
    let ended = "exit status 1, stdout: , stderr: ";
    for message in [
        format!(
            "{RUNC}error running prestart hook #0: {ended}Auto-detected mode as 'legacy'\n{MISMATCH}: unknown"
        ),
        format!("{RUNC}error running hook #0: error running hook: {ended}{MISMATCH}: unknown"),
        format!("{OLD}Running hook #0:: error running hook: {ended}{MISMATCH}: unknown"),
        format!(
            "OCI runtime create failed: container_linux.go:349: starting container process caused \"process_linux.go:449: container init caused \\\"process_linux.go:432: running prestart hook 1 caused \\\\\\\"error running hook: {ended}{MISMATCH}\\\\\\\\n\\\\\\\"\\\"\": unknown"
        ),
    ] {
        let Some(EngineFault::CardUnreachable(said)) = heard(&data, &message) else { panic!("{message}") };
        assert!(said.starts_with("nvml error: driver/library version mismatch"), "{said}");
    }
}

/// Each of these can be brought about by what a job says of itself.
#[test]
fn what_a_job_itself_is_to_blame_for_stops_nobody_elses_work() {
    let data = data();
    for message in [
        "No such image: nothing:latest".to_owned(),
        "Conflict. The container name \"/x\" is already in use".to_owned(),
        format!("{RUNC}exec: \"nope\": executable file not found in $PATH: unknown"),
        format!("{RUNC}exec: \"nvidia-container-runtime\": executable file not found in $PATH: unknown"),
        format!("{RUNC}exec: \"unknown or invalid runtime name: nvidia\": executable file not found in $PATH: unknown"),
        format!("{RUNC}exec: \"error running prestart hook #0: stderr: {MISMATCH}\": no such file or directory: unknown"),
        format!("{RUNC}unable to find user error running hook #0: stderr: {MISMATCH}: no matching entries in passwd file: unknown"),
        format!("{RUNC}exec: \"/x error mounting \\\"DATA/alloc/a1/alloc\\\" to rootfs\": permission denied: unknown"),
        format!("{RUNC}error running prestart hook #0: exit status 1, stdout: , stderr: nvidia-container-cli: device error: x\n{MISMATCH}: unknown device: unknown"),
        format!("{RUNC}error running prestart hook #0: exit status 1, stdout: , stderr: nvidia-container-cli: requirement error: unsatisfied condition: cuda>=99: unknown"),
        // Of the job's own making, or of another's folder.
        "error while creating mount source path 'DATA/alloc/a1/task/local/cache': mkdir DATA/x: not a directory".to_owned(),
        "error while creating mount source path 'DATA/alloc/a1/alloc/local': mkdir DATA/x: permission denied".to_owned(),
        "error while creating mount source path '/srv/other': mkdir /srv: permission denied".to_owned(),
        "error while creating mount source path 'DATA/alloc/../alloc/a1': mkdir DATA: permission denied".to_owned(),
        format!("{RUNC}error mounting \"DATA/alloc/a1/task/local\" to rootfs at \"/etc/passwd\": mount DATA: not a directory: unknown"),
        // In its allocation something has run, which may have spoilt them.
        "error while creating mount source path 'DATA/alloc/ran/alloc': mkdir DATA: permission denied".to_owned(),
        // Gone, as one of a job that was stopped meanwhile.
        "invalid mount config for type \"bind\": bind source path does not exist: DATA/alloc/a2/alloc".to_owned(),
        String::new(),
        "::::".to_owned(),
    ] {
        assert_eq!(heard(&data, &message), None, "{message}");
    }
}

proptest::proptest! {
    /// Whatever a job calls its program, its user or its folder in the container.
    #[test]
    fn no_words_of_a_jobs_own_are_taken_for_the_engines(words in ".*") {
        let data = data();
        for message in [
            format!("{RUNC}exec: \"{words}\": executable file not found in $PATH: unknown"),
            format!("{RUNC}unable to find user {words}: no matching entries in passwd file: unknown"),
            format!("{RUNC}chdir to cwd (\"{words}\") set in config.json failed: not a directory: unknown"),
            format!("{RUNC}error mounting \"DATA/alloc/a1/alloc\" to rootfs at \"{words}\": not a directory: unknown"),
        ] {
            proptest::prop_assert_eq!(heard(&data, &message), None);
        }
    }
}
