//! What a job can do to the owner's disk, memory and time with its logs: not much.

use std::io::{Seek, SeekFrom};

use super::follow::{ALLOCATION, add, following, restart};
use super::*;

fn stream(log: &str) -> String {
    format!("jobs/{ALLOCATION}/{log}")
}

/// Everything in `folder`, in bytes.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(
            |entry| if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().unwrap().len() },
        )
        .sum()
}

/// Bytes that cannot be packed.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn holes_are_passed_over_counted_and_said() {
    let (shelf, _, job) = following(small());
    let mut file = fs::File::create(job.join("work.stdout.0")).unwrap();
    file.write_all(b"before\n").unwrap();
    file.set_len(8 << 30).unwrap();
    file.seek(SeekFrom::Start(8 << 30)).unwrap();
    file.write_all(b"after\n").unwrap();

    while shelf.book.tick() {}
    shelf.book.close();

    let text = shelf.text(&stream("work.stdout"));
    assert!(text.starts_with("before\n") && text.ends_with("after\n"), "{} bytes", text.len());
    assert!(text.contains("empty bytes") && text.len() < 10_000, "{} bytes", text.len());
    let left_out = shelf.report().left_out.0;
    assert!(left_out > (8 << 30) - 10_000 && left_out <= 8 << 30, "{left_out}");
}

#[test]
fn a_pause_with_a_sparse_file_in_a_logs_place_fills_no_disk() {
    let (shelf, _, job) = following(small());
    fs::File::create(job.join("work.stdout.0")).unwrap().set_len(8 << 30).unwrap();

    assert!(!shelf.book.tick(), "there is nothing to go on with");
    shelf.book.close();

    assert!(size(&shelf.logs()) < 100_000);
}

#[test]
fn what_is_written_into_a_hole_later_is_still_taken_over() {
    let (shelf, _, job) = following(small());
    let mut file = fs::File::create(job.join("work.stdout.0")).unwrap();
    file.set_len(1 << 20).unwrap();
    shelf.book.tick();
    file.write_all(b"a writer that makes room first\n").unwrap();
    shelf.book.tick();
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(b"and fills it later\n").unwrap();

    shelf.book.tick();
    shelf.book.close();

    let text = shelf.text(&stream("work.stdout"));
    assert_eq!(text.matches("a writer that makes room first\n").count(), 1);
    assert!(text.contains("and fills it later\n"));
}

#[test]
fn zeros_without_end_are_passed_over_too() {
    let (shelf, _, job) = following(small());
    add(&job.join("work.stdout.0"), [&vec![0; 3 << 20][..], b"after\n"].concat());

    while shelf.book.tick() {}
    shelf.book.close();

    let text = shelf.unpacked(&stream("work.stdout"));
    assert!(text.ends_with(b"after\n") && text.len() < 200_000, "{}", text.len());
    assert_eq!(shelf.report().left_out.0, 3 << 20);
}

#[test]
fn a_log_has_its_share_of_an_hour_and_what_is_beyond_is_counted_and_said() {
    let (shelf, _, job) = following(Limits { max_total_bytes: 8 << 20, max_file_bytes: 1 << 20, ..small() });
    let log = job.join("loud.stdout.0");
    add(&log, noise(5 << 20));
    while shelf.book.tick() {}
    let taken = shelf.report().left_out.0;
    assert!(((4 << 20) - 65_536..=4 << 20).contains(&taken), "{taken}");
    add(&log, noise(1 << 20));
    assert!(!shelf.book.tick());

    shelf.pass(Duration::from_secs(3600));
    add(&log, "the next hour\n");
    while shelf.book.tick() {}
    shelf.book.close();

    let text = shelf.unpacked(&stream("loud.stdout"));
    assert!(text.ends_with(b"the next hour\n") && text.len() < 1_200_000, "{}", text.len());
    let said = String::from_utf8_lossy(&text).contains("bytes beyond what is taken over in an hour");
    assert!(said);
}

#[test]
fn no_raw_bytes_pile_up_between_turns_nor_at_a_pause() {
    let (shelf, _, job) = following(small());
    for n in 0..8 {
        add(&job.join(format!("loud{n}.stdout.0")), noise(3 << 20));
    }
    let closed = || {
        let streams =
            fs::read_dir(shelf.logs().join("jobs").join(ALLOCATION)).into_iter().flatten().flatten();
        let files = streams.flat_map(|stream| fs::read_dir(stream.path()).unwrap().flatten());
        files.filter(|file| file.file_name().to_string_lossy().starts_with("closed-")).count()
    };

    assert!(shelf.book.tick());
    assert_eq!(closed(), 0, "between turns");
    shelf.book.close();

    assert_eq!(closed(), 0);
    assert!(!shelf.logs().join("jobs").join(ALLOCATION).exists());
}

#[test]
fn a_closing_that_is_called_off_leaves_off_and_the_next_one_goes_on() {
    let (shelf, _, job) = following(Limits { max_file_bytes: 1 << 20, ..small() });
    let loud = "a line of a loud job\n".repeat(100_000);
    add(&job.join("loud.stdout.0"), &loud);
    let stop = Stop::default();
    stop.ask();

    shelf.book.close_unless(&stop);
    assert_eq!(shelf.waiting().len(), 0);
    let shelf = restart(shelf, Limits { max_file_bytes: 1 << 20, ..small() });
    shelf.book.close();

    assert!(shelf.text(&stream("loud.stdout")) == loud);
}

#[test]
fn a_closing_is_bounded_in_bytes_and_the_rest_comes_with_the_next_start() {
    let limits = Limits { max_file_bytes: 4 << 20, ..small() };
    let (shelf, _, job) = following(limits);
    let loud = "a line of a job that was very loud just before the end, again and again\n".repeat(600_000);
    add(&job.join("loud.stdout.0"), &loud);

    shelf.book.close();
    let taken = shelf.unpacked(&stream("loud.stdout")).len();
    assert!(taken < 34 << 20, "{taken}");
    let shelf = restart(shelf, limits);
    shelf.book.close();

    assert!(shelf.text(&stream("loud.stdout")) == loud);
}

#[test]
fn a_job_in_many_logs_and_among_many_files_is_bounded() {
    let (shelf, _, job) = following(small());
    for n in 0..300 {
        add(&job.join(format!("t{n}.stdout.0")), "x\n");
    }
    for n in 0..30_000 {
        fs::File::create(job.join(format!("junk{n}"))).unwrap();
    }

    while shelf.book.tick() {}
    shelf.book.close();

    let streams: std::collections::BTreeSet<_> =
        shelf.waiting().iter().map(|name| name.rsplit_once('/').unwrap().0.to_owned()).collect();
    assert!(streams.len() <= 64, "{}", streams.len());
}

#[test]
fn logs_that_come_and_go_under_ever_new_names_end_in_a_bounded_number_of_files() {
    let (shelf, _, job) = following(small());
    for n in 0..400 {
        let log = job.join(format!("t{n}.stdout.0"));
        add(&log, "x\n");
        shelf.book.tick();
        fs::remove_file(log).unwrap();
    }
    shelf.book.tick();
    shelf.book.close();

    assert!(shelf.waiting().len() <= 128, "{}", shelf.waiting().len());
}

#[test]
fn jobs_never_push_out_what_the_app_and_the_agent_say() {
    let limits = Limits { max_total_bytes: 1 << 20, max_file_bytes: 50_000, ..small() };
    let (shelf, agent, job) = following(limits);
    shelf.write(&["the app's own line"]);
    add(&agent.join("client.log"), "{\"@message\":\"the agent's own line\"}\n");
    shelf.book.close();

    for hour in 0..12 {
        for log in 0..9 {
            add(&job.join(format!("loud{log}.stdout.0")), noise(100_000 + hour));
        }
        while shelf.book.tick() {}
        shelf.pass(Duration::from_secs(3600));
    }
    shelf.book.close();

    assert_eq!(shelf.text("app").lines().next(), Some("the app's own line"));
    assert!(shelf.text("agent").contains("the agent's own line"));
    assert!(size(&shelf.logs().join("outbox/jobs")) <= 512 << 10);
    assert!(shelf.report().left_out.0 > 1 << 20);
}

#[test]
fn one_jobs_logs_never_push_out_anothers() {
    let limits = Limits { max_total_bytes: 1 << 20, max_file_bytes: 50_000, ..small() };
    let (shelf, _, loud) = following(limits);
    let quiet = loud.ancestors().nth(3).unwrap().join("0a1b2c3d-0000-4000-8000-00000000beef/alloc/logs");
    fs::create_dir_all(&quiet).unwrap();
    add(&quiet.join("t.stdout.0"), "the quiet one\n");
    shelf.book.tick();
    shelf.pass(Duration::from_secs(60));

    for _ in 0..12 {
        add(&loud.join("t.stdout.0"), noise(200_000));
        while shelf.book.tick() {}
        shelf.pass(Duration::from_secs(3600));
    }
    shelf.book.close();

    assert_eq!(shelf.text("jobs/0a1b2c3d-0000-4000-8000-00000000beef/t.stdout"), "the quiet one\n");
}

#[cfg(target_os = "linux")]
#[test]
fn an_idle_day_goes_through_no_folder() {
    let (shelf, agent, job) = following(small());
    add(&job.join("t.stdout.0"), "x\n");
    add(&agent.join("client.log"), "{}\n");
    shelf.write(&["x"]);
    let root = job.ancestors().nth(3).unwrap();
    for folder in [job.as_path(), root] {
        // They have not been touched for a while.
        fs::File::open(folder)
            .unwrap()
            .set_modified(std::time::SystemTime::now() - Duration::from_secs(60))
            .unwrap();
    }
    let mut pace = pace::Pace::new();
    let mut turns = 0;
    let mut live = |seconds: u64| {
        let mut left = Duration::from_secs(seconds);
        while !left.is_zero() {
            let rest = pace.after(shelf.book.turn(&Stop::default()), Duration::ZERO).min(left);
            shelf.pass(rest);
            left = left.saturating_sub(rest);
            turns += 1;
        }
    };
    live(300);
    let before = shelf.book.looks.so_far();

    live(24 * 3600);

    assert_eq!(shelf.book.looks.so_far(), before, "nothing had changed");
    assert!(turns < 11_000, "{turns} turns in a day");
}
