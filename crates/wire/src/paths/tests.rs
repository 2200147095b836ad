use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use super::locate::{Surroundings, of};
use super::*;

#[derive(Default)]
struct Given {
    variables: BTreeMap<&'static str, &'static str>,
    listed: Option<&'static str>,
    /// Folders that cannot be written to.
    unusable: Vec<&'static str>,
    others: Option<u32>,
}

impl Surroundings for Given {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).map(OsString::from)
    }

    fn listed_home(&self) -> Option<PathBuf> {
        self.listed.map(PathBuf::from)
    }

    fn is_usable(&self, folder: &Path) -> bool {
        !self.unusable.iter().any(|unusable| folder == Path::new(unusable))
    }

    fn other_owner(&self, _: &Path) -> Option<u32> {
        self.others
    }
}

fn given<const N: usize>(variables: [(&'static str, &'static str); N]) -> Given {
    Given { variables: variables.into(), ..Given::default() }
}

#[test]
fn one_variable_moves_every_folder() {
    let folders = of(&given([(HOME_VARIABLE, "/t"), ("HOME", "/home/a")])).unwrap();

    assert_eq!(folders, Folders::below(Path::new("/t")));
}

#[test]
fn that_variable_must_be_absolute() {
    for path in ["", "here", "./t"] {
        assert!(matches!(of(&given([(HOME_VARIABLE, path)])), Err(FoldersError::Relative(_))), "{path:?}");
    }
}

#[test]
fn no_home_at_all_is_said_with_what_to_do() {
    let refused = of(&given([])).unwrap_err();

    assert!(matches!(refused, FoldersError::NoHome));
    assert!(refused.to_string().contains(HOME_VARIABLE));
}

#[cfg(target_os = "linux")]
mod linux {
    use super::*;

    #[test]
    fn a_home_whose_name_is_no_text_is_named_and_nothing_is_made_in_it() {
        use std::os::unix::ffi::OsStrExt as _;
        let place = tempfile::tempdir().unwrap();
        let home = place.path().join(std::ffi::OsStr::from_bytes(b"jos\xe9"));
        let (plain, link) = (place.path().join("plain"), home.join("data"));

        assert!(matches!(Folders::below(&home).made(), Err(FoldersError::NoText(_))));
        assert!(!home.exists());

        std::fs::create_dir_all(&link).unwrap();
        std::fs::create_dir(&plain).unwrap();
        std::os::unix::fs::symlink(&link, plain.join("data")).unwrap();
        assert!(matches!(Folders::below(&plain).made(), Err(FoldersError::NoText(_))));
    }

    #[test]
    fn a_desktop_cron_ssh_and_a_sandboxed_terminal_agree_on_the_data() {
        let desktop = [
            ("HOME", "/home/a"),
            ("XDG_RUNTIME_DIR", "/run/user/1000"),
            ("XDG_DATA_HOME", "/home/a/snap/code/1/.local/share"),
            ("XDG_CONFIG_HOME", "/home/a/snap/code/1/.config"),
            ("XDG_STATE_HOME", "/elsewhere"),
        ];
        let desktop = of(&given(desktop)).unwrap();
        let cron = of(&given([("HOME", "/home/a")])).unwrap();
        let bare = of(&Given { listed: Some("/home/a"), ..Given::default() }).unwrap();

        assert_eq!(desktop.run, Path::new("/run/user/1000/ionet-supplier"));
        assert_eq!(cron.run, Path::new("/home/a/.local/share/ionet-supplier/run"));
        assert_eq!(Folders { run: cron.run.clone(), ..desktop.clone() }, cron);
        assert_eq!(bare, cron);
        assert_eq!(desktop.guard_run(), cron.guard_run());
        assert_eq!(cron.config, Path::new("/home/a/.config/ionet-supplier"));
    }

    #[test]
    fn a_runtime_folder_of_somebody_else_or_of_a_session_that_ended_is_passed_over() {
        let unusable = vec!["/run/user/1000"];
        let left = Given { unusable, ..given([("HOME", "/home/a"), ("XDG_RUNTIME_DIR", "/run/user/1000")]) };

        assert_eq!(of(&left).unwrap().run, Path::new("/home/a/.local/share/ionet-supplier/run"));
    }

    #[test]
    fn a_home_variable_that_says_nothing_is_as_none() {
        for home in ["", "relative"] {
            let given = Given { listed: Some("/home/a"), ..given([("HOME", home)]) };
            assert_eq!(of(&given).unwrap().config, Path::new("/home/a/.config/ionet-supplier"));
        }
    }

    #[test]
    fn a_service_without_a_home_uses_what_its_unit_gives_it() {
        let variables = [
            ("STATE_DIRECTORY", "/var/lib/ionet:/var/lib/more"),
            ("RUNTIME_DIRECTORY", "/run/ionet"),
            ("LOGS_DIRECTORY", "/var/log/ionet"),
        ];
        let folders = of(&given(variables)).unwrap();

        assert_eq!(folders.data, Path::new("/var/lib/ionet/data"));
        assert_eq!(folders.config, Path::new("/var/lib/ionet/config"));
        assert_eq!(folders.run, Path::new("/run/ionet"));
        assert_eq!(folders.logs, Path::new("/var/log/ionet"));
    }

    #[test]
    fn a_home_that_a_service_may_not_write_to_gives_way_to_its_units_folder() {
        let unusable = vec!["/nonexistent"];
        let variables = [("HOME", "/nonexistent"), ("STATE_DIRECTORY", "/var/lib/ionet")];

        let folders = of(&Given { unusable, ..given(variables) }).unwrap();

        assert_eq!(folders.data, Path::new("/var/lib/ionet/data"));
    }

    #[test]
    fn a_home_that_can_be_used_comes_first_so_that_a_terminal_finds_the_service() {
        let service = Given { listed: Some("/root"), ..given([("STATE_DIRECTORY", "/var/lib/ionet")]) };

        assert_eq!(of(&service).unwrap().data, of(&given([("HOME", "/root")])).unwrap().data);
    }

    #[test]
    fn root_in_somebody_elses_home_is_told_to_be_that_user() {
        let sudo = Given { others: Some(1000), ..given([("HOME", "/home/a")]) };

        let refused = of(&sudo).unwrap_err();

        assert!(matches!(refused, FoldersError::AnotherUsers { owner: 1000, .. }));
    }
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::server::Server;

    #[test]
    fn two_spellings_of_one_home_are_one() {
        let place = tempfile::tempdir().unwrap();
        let (home, link) = (place.path().join("data 1 – Größe"), place.path().join("home"));
        std::fs::create_dir(&home).unwrap();
        symlink(&home, &link).unwrap();

        let (direct, linked) = (Folders::below(&home).made().unwrap(), Folders::below(&link).made().unwrap());

        assert_eq!(direct.data, linked.data);
        assert_eq!(direct.guard_run(), linked.guard_run());
    }

    #[test]
    fn the_folders_are_closed_to_others() {
        let home = tempfile::tempdir().unwrap();
        let folders = Folders::below(&home.path().join("new")).made().unwrap();

        for folder in [&folders.config, &folders.data, &folders.logs] {
            assert_eq!(std::fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_file_in_a_folders_place_is_said_with_its_path() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("data"), "no folder").unwrap();

        let refused = Folders::below(home.path()).made().unwrap_err();

        assert!(matches!(&refused, FoldersError::File(error) if error.path.ends_with("data")), "{refused}");
        assert!(std::error::Error::source(&refused).is_none(), "whoever prints the causes too says it twice");
    }

    #[tokio::test]
    async fn a_home_too_deep_for_a_socket_works_all_the_same() {
        let home = tempfile::tempdir().unwrap();
        let folders = Folders::below(&home.path().join("d".repeat(100))).made().unwrap();
        let short = short::folder(&folders.data).unwrap();

        let server = Server::bind(&folders.meeting()).unwrap();
        let found = folders.meeting().connect().await;
        drop(server);
        let guard = folders.guard_run();
        std::fs::remove_dir_all(&short).unwrap();

        assert!(found.is_ok());
        assert_eq!(guard, short);
        assert!(SocketId::new(&guard, "guard.sock").fits());
    }
}
