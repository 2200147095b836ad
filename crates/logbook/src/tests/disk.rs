//! A disk without room.
#![cfg(target_os = "linux")]

use std::os::unix::fs::symlink;
use std::process::Command;

use ionet_core::fault::LogFault;

use super::*;

#[test]
fn lines_lost_to_a_full_disk_are_counted_and_said_when_there_is_room_again() {
    let shelf = Shelf::new(small());
    let current = shelf.logs().join("app/current.log");
    fs::create_dir_all(shelf.logs().join("app")).unwrap();
    symlink("/dev/full", &current).unwrap();

    shelf.write(&["one", "two", "three"]);

    assert_eq!(shelf.report().fault, Some(LogFault::DiskFull));
    fs::remove_file(&current).unwrap();
    shelf.write(&["four"]);
    assert_eq!(shelf.report().fault, None);
    shelf.book.close();
    let text = shelf.text("app");
    let (note, rest) = text.split_once('\n').unwrap();
    let note: serde_json::Value = serde_json::from_str(note).unwrap();
    assert_eq!((&note["message"], &note["lines"]), (&"log lines were lost".into(), &3.into()));
    assert_eq!(rest, "four\n");
}

#[test]
fn a_really_full_disk_costs_whole_lines_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let Some(_disk) = SmallDisk::mount(&folder.path().join("logs")) else {
        println!("skipped: needs root to mount a small disk");
        return;
    };
    let seconds = Arc::new(AtomicU64::new(1_763_880_000));
    let limits = Limits { max_file_bytes: 1 << 30, ..small() };
    let shelf = Shelf::in_folder(folder, seconds, limits);
    let line = "x".repeat(999);

    for _ in 0..300 {
        shelf.write(&[&line]);
    }

    assert_eq!(shelf.report().fault, Some(LogFault::DiskFull));
    let kept = fs::read(shelf.logs().join("app/current.log")).unwrap();
    assert!(!kept.is_empty() && kept.len().is_multiple_of(1000), "no piece of a line stays: {}", kept.len());
    let lost = 300 - kept.len() / 1000;
    // Room for one more file: the full one is taken away by hand.
    fs::remove_file(shelf.logs().join("app/current.log")).unwrap();
    shelf.book.close();
    shelf.write(&["room again"]);
    shelf.book.close();
    assert_eq!(shelf.report().fault, None);
    let text = shelf.text("app");
    assert!(text.contains(&format!(r#""lines":{lost}"#)) && text.ends_with("room again\n"), "{text}");
    drop(shelf.book);
}

/// A disk of 128 KiB in memory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=128k", "tmpfs"]).arg(at);
        mount.output().is_ok_and(|output| output.status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
