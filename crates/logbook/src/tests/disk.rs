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
fn a_full_disk_costs_the_copies_of_what_is_shipped() {
    let shelf = Shelf::new(small());
    shelf.write(&["shipped"]);
    shelf.book.close();
    let parcel = shelf.book.outbox.waiting().remove(0);
    shelf.book.outbox.shipped(&parcel).unwrap();
    shelf.book.tick();
    let copy = shelf.logs().join("shipped").join(&parcel.name);
    assert!(copy.exists());
    symlink("/dev/full", shelf.logs().join("app/current.log")).unwrap();

    shelf.write(&["lost"]);
    shelf.book.tick();

    assert_eq!(shelf.report().fault, Some(LogFault::DiskFull));
    assert!(!copy.exists());
}

#[test]
fn a_really_full_disk_costs_whole_lines_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let Some(disk) = SmallDisk::mount(&folder.path().join("logs")) else {
        println!("skipped: needs root to mount a small disk");
        return;
    };
    let limits = Limits { max_file_bytes: 1 << 30, ..small() };
    let shelf = Shelf::in_folder(folder, Time::default(), limits);
    // Unmounted before its folder is removed.
    let _disk = disk;
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

#[test]
fn a_disk_that_becomes_read_only_is_said_and_heals_by_itself() {
    let folder = TempDir::new().unwrap();
    let Some(disk) = SmallDisk::mount(&folder.path().join("logs")) else {
        println!("skipped: needs root to mount a small disk");
        return;
    };
    let shelf = Shelf::in_folder(folder, Time::default(), small());
    // Unmounted before its folder is removed.
    let disk = disk;
    shelf.write(&["before"]);
    shelf.book.close();
    disk.remount("ro");

    for n in 0..5000 {
        shelf.book.printed().write_all(format!("line {n}\n").as_bytes()).unwrap();
    }
    shelf.book.drain();

    let report = shelf.report();
    assert_eq!((report.fault, report.lost_lines), (Some(LogFault::ReadOnly), 5000));
    disk.remount("rw");
    shelf.book.tick();
    assert_eq!(shelf.report().fault, None, "nothing had to be logged to notice");
    shelf.write(&["after"]);
    shelf.book.close();
    let text = shelf.text("app");
    assert!(
        text.starts_with("before\n") && text.contains(r#""lines":5000"#) && text.ends_with("after\n"),
        "{text}"
    );
    drop(shelf.book);
}

#[test]
fn a_disk_that_hangs_holds_nobody_up_and_is_said() {
    let shelf = Shelf::new(Limits { max_file_bytes: 1 << 30, ..small() });
    let app = shelf.logs().join("app");
    fs::create_dir_all(&app).unwrap();
    // Opening a pipe that nobody reads hangs as a lost network disk does.
    let pipe = app.join("current.log");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let line = format!("{}\n", "x".repeat(999));

    for _ in 0..5000 {
        shelf.book.printed().write_all(line.as_bytes()).unwrap();
    }
    while !shelf.book.board.lines.is_waiting() {
        std::thread::yield_now();
    }
    shelf.pass(Duration::from_secs(11));
    shelf.book.printed().write_all(b"and so it is noticed\n").unwrap();

    assert_eq!(shelf.report().fault, Some(LogFault::DiskHangs));
    assert!(!shelf.book.tick(), "housekeeping is not held up either");
    shelf.book.close();

    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap().len()
    });
    shelf.book.drain();
    fs::remove_file(&pipe).unwrap();
    shelf.write(&["later"]);
    shelf.book.close();
    assert_eq!(shelf.report().fault, None);
    assert!(shelf.text("app").ends_with("later\n"));
    let written = reader.join().unwrap();
    assert!(written < 2 << 20, "what waited was bounded: {written}");
    assert!(shelf.report().lost_lines > 3000);
}

#[test]
fn folders_in_the_place_of_its_files_keep_no_line_from_being_shipped() {
    let shelf = Shelf::new(small());
    for taken in ["app/current.log", "packing.part"] {
        fs::create_dir_all(shelf.logs().join(taken).join("theirs")).unwrap();
    }

    shelf.write(&["said"]);
    shelf.book.close();

    assert_eq!((shelf.text("app").as_str(), shelf.report().fault), ("said\n", None));
}

#[test]
fn a_log_folder_that_is_deleted_under_the_app_is_made_anew() {
    let shelf = Shelf::new(small());
    shelf.write(&["before"]);
    shelf.book.close();
    shelf.write(&["on its way"]);
    fs::remove_dir_all(shelf.logs()).unwrap();

    shelf.write(&["after"]);
    shelf.book.close();

    assert_eq!(shelf.report().fault, None);
    let waiting = shelf.waiting();
    assert_eq!(unpack(&shelf.logs().join("outbox").join(waiting.last().unwrap())), b"after\n");
}

#[test]
fn on_a_disk_too_full_to_pack_jobs_raw_files_go_and_the_apps_lines_get_through() {
    let folder = TempDir::new().unwrap();
    let Some(disk) = SmallDisk::mount(&folder.path().join("logs")) else {
        println!("skipped: needs root to mount a small disk");
        return;
    };
    let shelf = Shelf::in_folder(folder, Time::default(), small());
    // Unmounted before its folder is removed.
    let _disk = disk;
    shelf.write(&["of the app"]);
    let job = shelf.logs().join("jobs/0a1b2c3d-0000-4000-8000-00000000cafe/t.stdout");
    fs::create_dir_all(&job).unwrap();
    let noise: Vec<u8> = (0..200_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    for n in 0..40 {
        let _ = fs::write(
            job.join(format!("closed-20251123t064000000z-{n:06}.log")),
            &noise[n * 4000..(n + 1) * 4000],
        );
    }

    for _ in 0..4 {
        shelf.book.close();
        shelf.pass(Duration::from_secs(60));
    }

    assert_eq!(shelf.text("app"), "of the app\n");
    assert_eq!(shelf.report().fault, None);
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

    fn remount(&self, how: &str) {
        let mut mount = Command::new("mount");
        assert!(mount.args(["-o", &format!("remount,{how}")]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
