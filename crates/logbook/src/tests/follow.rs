//! Foreign logs: the agent's, and its jobs'.

use proptest::prelude::*;

use super::*;

pub(super) const ALLOCATION: &str = "0a1b2c3d-0000-4000-8000-00000000cafe";

fn follow(shelf: &mut Shelf) -> (PathBuf, PathBuf) {
    let (agent, allocations) = (shelf.logs().join("agent"), shelf.folder.path().join("data/alloc"));
    fs::create_dir_all(&agent).unwrap();
    fs::create_dir_all(&allocations).unwrap();
    let sources = super::sources(shelf, agent.clone(), allocations.clone());
    shelf.book.follow(sources);
    (agent, allocations)
}

pub(super) fn following(limits: Limits) -> (Shelf, PathBuf, PathBuf) {
    let mut shelf = Shelf::new(limits);
    let (agent, allocations) = follow(&mut shelf);
    let job = allocations.join(ALLOCATION).join("alloc/logs");
    fs::create_dir_all(&job).unwrap();
    (shelf, agent, job)
}

pub(super) fn restart(shelf: Shelf, limits: Limits) -> Shelf {
    let mut shelf = shelf.restart(limits);
    follow(&mut shelf);
    shelf
}

pub(super) fn add(path: &Path, text: impl AsRef<[u8]>) {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_ref()).unwrap();
}

pub(super) fn agent_lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|n| format!("{{\"@timestamp\":\"{n:04}\",\"@message\":\"line {n}\"}}\n")).collect()
}

#[test]
fn the_agents_lines_are_taken_over_redacted_and_through_its_rotation() {
    let (shelf, agent, _) = following(small());
    add(&agent.join("client.log"), agent_lines(0..10));
    shelf.book.tick();
    add(&agent.join("client.log"), agent_lines(10..20) + "mail a@example.test\nhalf a li");
    shelf.book.tick();
    fs::rename(agent.join("client.log"), agent.join("client-1763880000000000001.log")).unwrap();
    add(&agent.join("client-1763880000000000001.log"), "ne\n");
    add(&agent.join("client.log"), agent_lines(20..30));

    shelf.book.tick();
    shelf.book.close();

    let expected = agent_lines(0..20) + "mail [e-mail]\nhalf a line\n" + &agent_lines(20..30);
    assert_eq!(shelf.text("agent"), expected);
    assert!(shelf.waiting().len() > 1);
}

#[test]
fn what_a_job_said_is_shipped_though_neither_its_mark_nor_its_source_is_there() {
    let (shelf, _, _) = following(small());
    let stream = "jobs/0a1b2c3d-0000-4000-8000-00000000dead/t.stdout";
    let folder = shelf.logs().join(stream);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("current.log"), "raw\n").unwrap();

    let shelf = restart(shelf, small());
    shelf.book.tick();

    assert_eq!(shelf.text(stream), "raw\n");
    assert!(!folder.exists());
}

#[test]
fn several_rotations_between_two_looks_lose_nothing() {
    let (shelf, agent, _) = following(small());
    add(&agent.join("client.log"), agent_lines(0..5));
    shelf.book.tick();
    for n in 1..4 {
        fs::rename(agent.join("client.log"), agent.join(format!("client-{n}.log"))).unwrap();
        add(&agent.join("client.log"), agent_lines(n * 5..n * 5 + 5));
    }
    fs::remove_file(agent.join("client-1.log")).unwrap();

    shelf.book.tick();
    shelf.book.close();

    assert_eq!(shelf.text("agent"), agent_lines(0..20));
}

#[test]
fn a_restart_loses_and_doubles_none_of_the_agents_lines() {
    let (shelf, agent, _) = following(small());
    add(&agent.join("client.log"), agent_lines(0..7));
    shelf.book.tick();
    // As if it ended after lines were copied and before that was noted.
    add(&agent.join("current.log"), agent_lines(7..9));
    add(&agent.join("client.log"), agent_lines(7..12));
    fs::rename(agent.join("client.log"), agent.join("client-17.log")).unwrap();
    add(&agent.join("client.log"), agent_lines(12..15));

    let shelf = restart(shelf, small());
    shelf.book.tick();
    shelf.book.close();

    assert_eq!(shelf.text("agent"), agent_lines(0..15));
}

#[test]
fn an_end_right_after_a_close_doubles_nothing() {
    let (shelf, agent, _) = following(small());
    add(&agent.join("client.log"), agent_lines(0..3));
    shelf.book.tick();
    fs::rename(agent.join("current.log"), agent.join("closed-20251123t064000000z-000099.log")).unwrap();
    let shelf = restart(shelf, small());
    add(&agent.join("client.log"), agent_lines(3..4));
    shelf.book.tick();

    let shelf = restart(shelf, small());
    add(&agent.join("client.log"), agent_lines(4..5));
    shelf.book.tick();
    shelf.book.close();

    let mut lines: Vec<_> = shelf.text("agent").lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, agent_lines(0..5).lines().collect::<Vec<_>>());
}

#[test]
fn a_damaged_memory_reads_again_rather_than_never() {
    let (shelf, agent, _) = following(small());
    add(&agent.join("client.log"), agent_lines(0..2));
    shelf.book.tick();
    fs::write(shelf.logs().join("follow.json"), "{").unwrap();

    let shelf = restart(shelf, small());
    shelf.book.tick();
    shelf.book.close();

    assert_eq!(shelf.text("agent"), agent_lines(0..2) + &agent_lines(0..2));
}

#[test]
fn a_jobs_output_is_taken_over_byte_for_byte() {
    let (shelf, _, job) = following(small());
    let noise: Vec<u8> = (0..5000u32).map(|n| (n * 7 % 251) as u8).collect();
    add(&job.join("train.stdout.0"), &noise);
    add(&job.join("train.stderr.0"), "Bearer 0123456789abcdef stays: it is the customer's\n");
    shelf.book.tick();
    add(&job.join("train.stdout.0"), "no end of line");
    add(&job.join("train.stdout.1"), "next");

    shelf.book.tick();
    shelf.book.close();

    let expected = [&noise[..], b"no end of line", b"next"].concat();
    assert_eq!(shelf.unpacked(&format!("jobs/{ALLOCATION}/train.stdout")), expected);
    assert!(shelf.text(&format!("jobs/{ALLOCATION}/train.stderr")).contains("0123456789abcdef"));
}

#[test]
fn a_loud_job_is_read_in_turns_and_to_its_end() {
    let (shelf, _, job) = following(Limits { max_file_bytes: 1 << 20, ..small() });
    let loud = "a line of a loud job\n".repeat(600_000);
    add(&job.join("loud.stdout.0"), &loud);

    assert!(shelf.book.tick(), "more is left after one turn");
    while shelf.book.tick() {}
    shelf.book.close();

    assert!(shelf.text(&format!("jobs/{ALLOCATION}/loud.stdout")) == loud);
}

#[test]
fn an_allocation_that_disappears_is_closed_with_its_last_lines() {
    let (shelf, _, job) = following(small());
    add(&job.join("t.stdout.0"), "first\n");
    shelf.book.tick();
    add(&job.join("t.stdout.0"), "last\n");

    fs::remove_dir_all(job.ancestors().nth(2).unwrap()).unwrap();
    shelf.book.tick();

    assert_eq!(shelf.text(&format!("jobs/{ALLOCATION}/t.stdout")), "first\nlast\n");
    assert!(!shelf.logs().join("jobs").join(ALLOCATION).exists());
    assert!(!fs::read_to_string(shelf.logs().join("follow.json")).unwrap().contains(ALLOCATION));
}

#[test]
fn an_allocation_that_disappeared_while_the_app_was_away_keeps_what_was_copied() {
    let (shelf, _, job) = following(small());
    add(&job.join("t.stdout.0"), "first\n");
    shelf.book.tick();
    fs::remove_dir_all(job.ancestors().nth(2).unwrap()).unwrap();

    let shelf = restart(shelf, small());
    shelf.book.tick();

    assert_eq!(shelf.text(&format!("jobs/{ALLOCATION}/t.stdout")), "first\n");
}

#[test]
fn a_restart_loses_and_doubles_none_of_a_jobs_bytes() {
    let (shelf, _, job) = following(small());
    add(&job.join("t.stdout.0"), "one\n");
    shelf.book.tick();
    add(&job.join("t.stdout.0"), "two\n");
    add(&job.join("t.stdout.1"), "three\n");

    let shelf = restart(shelf, small());
    shelf.book.tick();
    fs::remove_file(job.join("t.stdout.0")).unwrap();
    add(&job.join("t.stdout.1"), "four\n");
    shelf.book.close();

    assert_eq!(shelf.text(&format!("jobs/{ALLOCATION}/t.stdout")), "one\ntwo\nthree\nfour\n");
}

#[cfg(unix)]
#[test]
fn a_job_cannot_have_other_files_shipped_by_links() {
    use std::os::unix::fs::symlink;
    let (shelf, _, job) = following(small());
    let secret = shelf.folder.path().join("secret");
    fs::write(&secret, "not the job's").unwrap();
    symlink(&secret, job.join("a.stdout.0")).unwrap();
    fs::hard_link(&secret, job.join("b.stdout.0")).unwrap();
    let other = job.ancestors().nth(3).unwrap().join("0a1b2c3d-0000-4000-8000-00000000beef/alloc");
    fs::create_dir_all(&other).unwrap();
    let elsewhere = shelf.folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("c.stdout.0"), "not the job's").unwrap();
    symlink(&elsewhere, other.join("logs")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(job.join("d.stdout.0")).status().unwrap();
    assert!(pipe.success());
    let _socket = std::os::unix::net::UnixListener::bind(job.join("f.stdout.0")).unwrap();
    fs::create_dir(job.join("g.stdout.0")).unwrap();
    // As far as this user may.
    let device =
        std::process::Command::new("mknod").arg(job.join("h.stdout.0")).args(["c", "1", "5"]).output();
    drop(device);
    symlink("/dev/zero", job.join("i.stdout.0")).unwrap();
    add(&job.join("e.stdout.0"), "its own\n");

    shelf.book.tick();
    shelf.book.close();

    assert_eq!(shelf.text(&format!("jobs/{ALLOCATION}/e.stdout")), "its own\n");
    assert_eq!(shelf.waiting().len(), 1);
}

#[cfg(unix)]
#[test]
fn jobs_logs_are_for_nobody_elses_eyes() {
    use std::os::unix::fs::PermissionsExt;
    let (shelf, _, job) = following(small());
    add(&job.join("t.stdout.0"), "first\n");
    shelf.book.tick();

    let mode = |path: &str| fs::metadata(shelf.logs().join(path)).unwrap().permissions().mode() & 0o777;
    let stream = format!("jobs/{ALLOCATION}/t.stdout");
    assert_eq!((mode("jobs"), mode("outbox"), mode(&stream)), (0o700, 0o700, 0o700));
    assert_eq!(mode(&format!("{stream}/current.log")), 0o600);
    shelf.book.close();
    assert_eq!(mode(&format!("outbox/{}", shelf.waiting()[0])), 0o600);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_only_delays_what_can_be_read_again() {
    let (shelf, agent, _) = following(small());
    std::os::unix::fs::symlink("/dev/full", agent.join("current.log")).unwrap();
    add(&agent.join("client.log"), agent_lines(0..3));

    shelf.book.tick();

    assert_eq!(shelf.report().fault, Some(ionet_core::fault::LogFault::DiskFull));
    fs::remove_file(agent.join("current.log")).unwrap();
    shelf.book.tick();
    shelf.book.close();
    assert_eq!(shelf.text("agent"), agent_lines(0..3));
    assert_eq!(shelf.report().fault, None);
}

#[test]
fn an_agents_line_that_carries_a_tasks_things_is_cut_before_it_is_kept() {
    let (shelf, agent, _) = following(small());
    let line = r#"{"@level":"debug","@message":"launching","@module":"client.driver_mgr","args":["--horse"],"command":"/bin/horse","env":{"A":"horse"},"pid":7}"#;
    add(&agent.join("client.log"), format!("{line}\n{}\n", line.replace("{\"@", "x=y env=A=horse {\"@")));

    shelf.book.tick();
    shelf.book.close();

    let text = shelf.text("agent");
    assert!(!text.contains("horse") && text.contains("\"pid\":7") && text.lines().count() == 2, "{text}");
}

#[test]
fn a_line_of_the_agents_without_end_is_cut_and_what_follows_is_whole() {
    let (shelf, agent, _) = following(Limits { max_file_bytes: 1 << 20, ..small() });
    let endless = "y".repeat(300_000);
    add(&agent.join("client.log"), format!("one\n{endless}"));
    shelf.book.tick();
    add(&agent.join("client.log"), format!("{endless}\ntwo\n"));

    while shelf.book.tick() {}
    shelf.book.close();

    let text = shelf.text("agent");
    assert!(text.starts_with("one\ny") && text.ends_with("two\n") && text.len() < 200_000, "{}", text.len());
    assert!(text.contains("left out"));
}

#[derive(Debug, Clone)]
enum Happens {
    Line,
    Rotation,
    Turn,
    Closing,
    Restart,
    Seconds(u64),
    Clock(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => Just(Happens::Line),
        1 => Just(Happens::Rotation),
        3 => Just(Happens::Turn),
        1 => Just(Happens::Closing),
        1 => Just(Happens::Restart),
        1 => (0..100_u64).prop_map(Happens::Seconds),
        1 => (0..5_000_000_000_u64).prop_map(Happens::Clock),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_in_between_each_line_of_agent_and_job_comes_once_and_in_order(
        story in proptest::collection::vec(happens(), 1..40),
    ) {
        let (mut shelf, agent, job) = following(small());
        let (mut lines, mut rotated) = (0, 0);
        for happening in story {
            match happening {
                Happens::Line => {
                    add(&agent.join("client.log"), agent_lines(lines..lines + 1));
                    add(&job.join(format!("t.stdout.{rotated}")), agent_lines(lines..lines + 1));
                    lines += 1;
                }
                Happens::Rotation if agent.join("client.log").exists() => {
                    rotated += 1;
                    fs::rename(agent.join("client.log"), agent.join(format!("client-{rotated}.log"))).unwrap();
                }
                Happens::Rotation => {}
                Happens::Turn => drop(shelf.book.tick()),
                Happens::Closing => shelf.book.close(),
                Happens::Restart => shelf = restart(shelf, small()),
                Happens::Seconds(seconds) => shelf.pass(Duration::from_secs(seconds)),
                Happens::Clock(seconds) => shelf.set_clock(seconds),
            }
        }
        shelf.book.close();
        prop_assert_eq!(shelf.text("agent"), agent_lines(0..lines));
        prop_assert_eq!(shelf.text(&format!("jobs/{ALLOCATION}/t.stdout")), agent_lines(0..lines));
    }
}
