use std::path::PathBuf;

use super::*;

fn home() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Größe und mehr 家");
    super::folder(&path).unwrap();
    (folder, path)
}

#[test]
fn what_was_written_is_read_also_in_a_folder_with_spaces_and_other_letters() {
    let (_folder, home) = home();
    let path = home.join("session.json");
    replace(&path, b"older and longer").unwrap();

    replace(&path, b"new").unwrap();

    assert_eq!(read(&path, 100).unwrap().unwrap(), b"new");
    assert_eq!(fs::read_dir(&home).unwrap().count(), 1, "nothing lies beside it");
}

#[test]
fn more_than_the_limit_is_never_read() {
    let (_folder, home) = home();
    let path = home.join("huge");
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();

    assert_eq!(read(&path, 1000).unwrap_err().trouble, Trouble::TooLarge);
}

#[test]
fn a_missing_file_is_nothing_and_removing_it_is_done() {
    let (_folder, home) = home();

    assert!(read(&home.join("none"), 10).unwrap().is_none());
    remove(&home.join("none")).unwrap();
}

#[test]
fn a_folder_that_is_gone_is_said() {
    let (_folder, home) = home();

    let refused = replace(&home.join("gone/session.json"), b"x").unwrap_err();

    assert_eq!(refused.trouble, Trouble::Vanished);
}

#[test]
fn a_folder_in_the_files_place_is_kept_beside_it_with_what_is_in_it() {
    let (_folder, home) = home();
    let path = home.join("session.json");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("notes"), "theirs").unwrap();

    replace(&path, b"ours").unwrap();

    assert_eq!(read(&path, 100).unwrap().unwrap(), b"ours");
    let beside = fs::read_dir(&home).unwrap().map(|entry| entry.unwrap().path());
    let beside: Vec<_> = beside.filter(|found| *found != path).collect();
    assert_eq!(beside.len(), 1, "no draft is left: {beside:?}");
    assert_eq!(fs::read_to_string(beside[0].join("notes")).unwrap(), "theirs");
}

#[test]
fn drafts_that_nobody_will_finish_are_swept_and_others_are_left() {
    let (_folder, home) = home();
    let (dead, living) = (home.join(".session.json.aaaaaa.new"), home.join(".session.json.bbbbbb.new"));
    for draft in [&dead, &living] {
        fs::write(draft, "half").unwrap();
    }
    let long_ago = std::time::SystemTime::now() - ABANDONED * 2;
    fs::File::options().write(true).open(&dead).unwrap().set_modified(long_ago).unwrap();

    folder(&home).unwrap();

    assert!(!dead.exists());
    assert!(living.exists());
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn folders_and_files_are_their_owners_alone() {
        let (folder, home) = home();
        let open = folder.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        let path = home.join("key");
        fs::write(&path, "open to all").unwrap();

        super::folder(&open).unwrap();
        replace(&path, b"closed").unwrap();

        assert_eq!((mode(&home), mode(&open), mode(&path)), (0o700, 0o700, 0o600));
    }

    #[test]
    fn a_folder_may_be_a_link_and_one_that_leads_nowhere_is_said() {
        let (folder, home) = home();
        let (link, nowhere) = (folder.path().join("link"), folder.path().join("nowhere"));
        symlink(&home, &link).unwrap();
        symlink(folder.path().join("unmounted"), &nowhere).unwrap();

        super::folder(&link).unwrap();
        replace(&link.join("key"), b"x").unwrap();

        assert_eq!(read(&home.join("key"), 10).unwrap().unwrap(), b"x");
        assert_eq!(super::folder(&nowhere).unwrap_err().trouble, Trouble::Vanished);
    }

    #[test]
    fn a_link_planted_for_the_file_is_neither_read_nor_written_through() {
        let (_folder, home) = home();
        let (path, theirs) = (home.join("session.json"), home.join("theirs"));
        fs::write(&theirs, "theirs").unwrap();
        symlink(&theirs, &path).unwrap();

        let refused = read(&path, 100).unwrap_err();
        replace(&path, b"ours").unwrap();

        assert_eq!(refused.trouble, Trouble::NotAFile);
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
        assert_eq!(read(&path, 100).unwrap().unwrap(), b"ours");
    }

    #[test]
    fn a_pipe_or_a_socket_in_the_files_place_is_not_waited_for() {
        let (_folder, home) = home();
        let (pipe, socket) = (home.join("pipe"), home.join("socket"));
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();

        for path in [pipe, socket] {
            assert_eq!(read(&path, 100).unwrap_err().trouble, Trouble::NotAFile);
        }
    }

    #[test]
    fn a_place_that_the_system_keeps_for_itself_is_said() {
        let refused = replace(Path::new("/sys/session.json"), b"x").unwrap_err();

        assert!(matches!(refused.trouble, Trouble::Permission | Trouble::ReadOnly), "{refused}");
    }

    #[test]
    fn a_closed_folder_on_a_read_only_disk_is_closed_already() {
        // Nothing is changed that would have to be written.
        let (_folder, home) = home();
        let changed = fs::metadata(&home).unwrap().ctime_nsec();

        super::folder(&home).unwrap();

        assert_eq!(fs::metadata(&home).unwrap().ctime_nsec(), changed);
    }
}
